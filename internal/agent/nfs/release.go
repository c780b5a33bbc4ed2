package nfs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// releaseTime is how long a server may take for what is still to be written.
const releaseTime = 10 * time.Second

// Dir is where the share is mounted.
func (s *Share) Dir() string { return s.dir }

// Clone opens the share as a mount of its own that is attached nowhere. It does not ask the
// server.
func (s *Share) Clone() (fd int, err error) {
	fd, err = unix.OpenTree(int(s.root.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", s.dir, err)
	}
	return fd, nil
}

// Abort makes everything fail that waits for the server now.
func (s *Share) Abort() error {
	// It is in use, so that it stays.
	if err := unix.Unmount(s.dir, unix.MNT_FORCE); !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("abort what waits for the server of %s: %w", s.dir, err)
	}
	return nil
}

// Release unmounts the share, which writes out what is to be written and tells the server that
// the files are free. A server that does not answer is an error after 10 seconds.
func (s *Share) Release() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), releaseTime, fmt.Errorf("the server does not answer within %v", releaseTime))
	defer cancel()
	err := bounded(ctx, func() error {
		s.root.Close()
		return unix.Unmount(s.dir, unix.MNT_DETACH)
	})
	if err != nil {
		return fmt.Errorf("release %s: %w", s.dir, err)
	}
	return nil
}
