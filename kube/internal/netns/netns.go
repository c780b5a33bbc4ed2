// Package netns works in a network namespace that somebody else makes and may take away
// at any time: it runs functions and programs there. It makes, names and removes none.
package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dir is where namespaces have names.
const dir = "/run/netns"

// lookInterval is how often a name is looked at, to see whether it still stands for the
// same namespace: a name that is taken away tells nobody.
const lookInterval = time.Second

// Namespace is one by name, as `ip netns` lists it.
type Namespace string

func (n Namespace) path() string { return filepath.Join(dir, string(n)) }

// ID tells namespaces apart.
type ID struct{ dev, ino uint64 }

// ID is that of the namespace that has the name now; fs.ErrNotExist if none has.
func (n Namespace) ID() (ID, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(n.path(), &fs); err != nil {
		return ID{}, fmt.Errorf("network namespace %s: %w", n, err)
	}
	// A crash may leave the name without its namespace.
	if fs.Type != unix.NSFS_MAGIC {
		return ID{}, fmt.Errorf("network namespace %s: %w", n, os.ErrNotExist)
	}
	var st unix.Stat_t
	if err := unix.Stat(n.path(), &st); err != nil {
		return ID{}, fmt.Errorf("network namespace %s: %w", n, err)
	}
	return ID{uint64(st.Dev), st.Ino}, nil
}

// Gone returns nil when the name does not stand for the namespace any more, or why ctx
// has ended.
func (n Namespace) Gone(ctx context.Context, was ID) error {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	for {
		if now, err := n.ID(); err != nil || now != was {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Do runs f on a thread in the namespace. Sockets that f makes and programs that it waits
// for are there; goroutines that it starts are not.
func (n Namespace) Do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		back, err := n.visit(f)
		result <- err
		if !back {
			// Nobody else may get the thread, and if it ended the programs that were started
			// on it would get their death signal.
			select {}
		}
		runtime.UnlockOSThread()
	}()
	return <-result
}

// visit runs f in the namespace, and tells whether the thread has come back from there.
func (n Namespace) visit(f func() error) (back bool, err error) {
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true, fmt.Errorf("open this thread's network namespace: %w", err)
	}
	defer unix.Close(home)
	if err := n.enter(); err != nil {
		return true, err
	}
	err = f()
	if backErr := unix.Setns(home, unix.CLONE_NEWNET); backErr != nil {
		return false, errors.Join(err, fmt.Errorf("come back from network namespace %s: %w", n, backErr))
	}
	return true, err
}

// Become makes this process a program in the namespace; it returns only an error. The
// program ends when the parent of this process does, as this process was to.
func (n Namespace) Become(path string, args ...string) error {
	runtime.LockOSThread()
	if err := n.enter(); err != nil {
		return err
	}
	// It belongs to a thread, and this one stands for the process from now on.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with the parent: %w", err)
	}
	return fmt.Errorf("run %s: %w", path, syscall.Exec(path, append([]string{path}, args...), os.Environ()))
}

func (n Namespace) enter() error {
	fd, err := unix.Open(n.path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", n, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", n, err)
	}
	return nil
}
