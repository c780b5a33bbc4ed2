package plane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// The lock of a data directory is a file that this process and all programs it starts
// hold open: while any of them lives, it is taken. So nobody starts beside what a crash
// is still ending, and "down" knows when all is gone.

const lockInterval = 20 * time.Millisecond

// errLocked is that another has the data directory.
var errLocked = errors.New("the data directory is in use")

// lock takes the lock, waiting until ctx ends, then with errLocked.
func lock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, errLocked
		case <-time.After(lockInterval):
		}
	}
}
