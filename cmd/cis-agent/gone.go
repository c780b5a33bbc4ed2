package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// gone returns a channel that is closed when a file is removed, by itself or with
// its directory. An agent whose socket is gone can be reached by nobody.
func gone(path string) (<-chan struct{}, error) {
	events, err := watch(filepath.Dir(path))
	switch {
	case errors.Is(err, unix.EMFILE):
		// A user may have few such watches at a time (fs.inotify.max_user_instances, 128 by
		// default), and there may be more agents than that.
		return closedWhenGone(path, func() error { time.Sleep(lookAgain); return nil }), nil
	case err != nil:
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	buf := make([]byte, 4096)
	removed := closedWhenGone(path, func() error {
		_, err := events.Read(buf)
		return err
	})
	go func() {
		<-removed
		events.Close()
	}()
	return removed, nil
}

// lookAgain is how often an agent looks that cannot watch.
const lookAgain = time.Second

// watch gives the removals in a directory to read.
func watch(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	const removals = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if _, err := unix.InotifyAddWatch(fd, dir, removals); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

// closedWhenGone looks after each wait, until one fails.
func closedWhenGone(path string, wait func() error) <-chan struct{} {
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		for {
			if _, err := os.Lstat(path); err != nil {
				return
			}
			if wait() != nil {
				return
			}
		}
	}()
	return removed
}
