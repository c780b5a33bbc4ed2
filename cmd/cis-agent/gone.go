package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// gone returns a channel that is closed when a file is removed, by itself or with
// its directory. An agent whose socket is gone can be reached by nobody.
func gone(path string) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	const removals = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), removals); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		defer events.Close()
		buf := make([]byte, 4096)
		for {
			if _, err := os.Lstat(path); err != nil {
				return
			}
			if _, err := events.Read(buf); err != nil {
				return
			}
		}
	}()
	return removed, nil
}
