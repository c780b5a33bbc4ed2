package cgroup

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Pids counts the processes and threads of a group and those below it.
func (t *Tree) Pids(group string) (int64, error) {
	count, err := readNumber(t.file("pids", group, "pids.current"))
	if err != nil {
		return 0, fmt.Errorf("count processes of cgroup %s: %w", group, err)
	}
	return count, nil
}

// OOMKills counts the processes of a group that the kernel ended for want of
// memory.
func (t *Tree) OOMKills(group string) (int64, error) {
	kills, err := readKey(t.OOMEvents(group), "oom_kill")
	if err != nil {
		return 0, fmt.Errorf("count kills of cgroup %s: %w", group, err)
	}
	return kills, nil
}

// Processes are the numbers of those that are in a group, or below it, now.
func (t *Tree) Processes(group string) ([]int, error) {
	pids, err := t.pids(group)
	if err != nil {
		return nil, fmt.Errorf("list processes of cgroup %s: %w", group, err)
	}
	return pids, nil
}

// Signal sends a signal to every process that is in a group, or below it, now.
func (t *Tree) Signal(group string, signal unix.Signal) error {
	pids, err := t.pids(group)
	if err != nil {
		return fmt.Errorf("signal cgroup %s: %w", group, err)
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal cgroup %s: %w", group, err)
		}
	}
	return nil
}
