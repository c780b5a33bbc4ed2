package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Remove kills every process in a group and below it, waits for their end, and
// removes the groups. Removing what does not exist is no error.
func (t *Tree) Remove(ctx context.Context, group string) error {
	if err := t.kill(ctx, group); err != nil {
		return fmt.Errorf("end cgroup %s: %w", group, err)
	}
	for _, tree := range t.trees() {
		if err := removeDirs(ctx, filepath.Join(tree, group)); err != nil {
			return fmt.Errorf("remove cgroup %s: %w", group, err)
		}
	}
	return nil
}

// kill goes on until nothing is left: a process may fork while the others are
// being killed.
func (t *Tree) kill(ctx context.Context, group string) error {
	if t.v2 {
		// Linux 5.14 and later kill a whole tree in one step; the loop does the rest,
		// and all of it on an older one.
		write(filepath.Join(t.root, group, "cgroup.kill"), "1")
	}
	for {
		pids, err := t.pids(group)
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := killAll(ctx, pids); err != nil {
			return err
		}
		// What has ended stays in the list until its parent has waited for it.
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// pids lists the processes in a group and below it, over all trees.
func (t *Tree) pids(group string) ([]int, error) {
	found := map[int]bool{}
	for _, tree := range t.trees() {
		dirs, err := descend(filepath.Join(tree, group))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err != nil && !gone(err) {
				return nil, err
			}
			for _, field := range strings.Fields(string(data)) {
				// 0 stands for a process outside of this PID namespace. A thread of
				// our own may have been here a moment ago (see Start); it ends by itself.
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 && pid != os.Getpid() {
					found[pid] = true
				}
			}
		}
	}
	pids := make([]int, 0, len(found))
	for pid := range found {
		pids = append(pids, pid)
	}
	return pids, nil
}

// gone tells that a group was removed meanwhile.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)
}

// killAll kills processes and waits until they have ended.
func killAll(ctx context.Context, pids []int) error {
	var waits []unix.PollFd
	defer func() {
		for _, w := range waits {
			unix.Close(int(w.Fd))
		}
	}()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended, or is no leader of its threads any more
		}
		waits = append(waits, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return waitEnds(ctx, waits)
}

// waitEnds waits for each process in turn; the order does not matter when all
// have to end.
func waitEnds(ctx context.Context, waits []unix.PollFd) error {
	for _, w := range waits {
		for {
			n, err := unix.Poll([]unix.PollFd{w}, 100)
			if n > 0 {
				break
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// removeDirs removes a group's directory with those below it. The kernel may
// still count a process that has just ended, so a busy directory is tried again.
func removeDirs(ctx context.Context, dir string) error {
	dirs, err := descend(dir)
	if err != nil {
		return err
	}
	slices.Reverse(dirs)
	for _, dir := range dirs {
		for pause := time.Millisecond; ; pause *= 2 {
			err := unix.Rmdir(dir)
			if err == nil || gone(err) {
				break
			}
			if !errors.Is(err, unix.EBUSY) || pause > time.Second {
				return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(pause):
			}
		}
	}
	return nil
}

// descend lists a directory and those below it, parents first.
func descend(dir string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if gone(err) {
				return nil
			}
			return err
		}
		if entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	return dirs, err
}
