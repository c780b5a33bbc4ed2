// Package cgroup limits, counts and ends groups of processes: one small interface
// over version 2 (one tree, /sys/fs/cgroup) and version 1 (a tree for each
// controller below /sys/fs/cgroup). A host with both counts as version 1, for that
// is where its controllers are.
//
// It never makes groups for processes of others, and uses no systemd: groups
// are directories that it makes, and removes.
//
// Limits: on version 1, memory that a group's processes share with another group
// is charged to whoever touched it first.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"cis/api"
)

// Root is where cgroups are mounted.
const Root = "/sys/fs/cgroup"

// period of the cpu quota, in microseconds.
const period = 100_000

// controllersV1 are the trees of version 1 in which groups are made. That of
// systemd has no limits, but systemd ends what it finds in a service's group there.
var controllersV1 = []string{"cpu", "cpuacct", "memory", "pids", "systemd"}

// Limits of a group; zero means none. Swap is never allowed where memory is
// limited and the kernel counts swap.
type Limits struct {
	CPU    api.CPU
	Memory api.Bytes
	// Pids counts processes and threads of the host.
	Pids int64
}

// Usage of a group and those below it.
type Usage struct {
	CPUSeconds float64
	// Memory in bytes, without page cache that the kernel would give up first.
	Memory api.Bytes
	// MemoryUsage is all of it, that page cache too; MemoryRSS what is neither page cache nor
	// the kernel's.
	MemoryUsage, MemoryRSS api.Bytes
}

// Tree is the cgroups of this host. Paths of groups are relative to it and begin
// with a slash.
type Tree struct {
	root string
	v2   bool
}

// Open finds out which version is mounted at root, and whether the controllers
// that limits need are there.
func Open(root string) (*Tree, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(root, &stat); err != nil {
		return nil, fmt.Errorf("open cgroups at %s: %w", root, err)
	}
	t := &Tree{root: root, v2: stat.Type == unix.CGROUP2_SUPER_MAGIC}
	present := func(controller string) bool {
		_, err := os.Stat(filepath.Join(root, controller))
		return err == nil
	}
	if t.v2 {
		data, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
		if err != nil {
			return nil, fmt.Errorf("open cgroups at %s: %w", root, err)
		}
		enabled := strings.Fields(string(data))
		present = func(controller string) bool { return slices.Contains(enabled, controller) }
	}
	for _, controller := range []string{"cpu", "memory", "pids"} {
		if !present(controller) {
			return nil, fmt.Errorf("open cgroups at %s: the kernel's %s controller is not there", root, controller)
		}
	}
	return t, nil
}

// Version of the cgroups: 1 or 2.
func (t *Tree) Version() int {
	if t.v2 {
		return 2
	}
	return 1
}

// file is where a group's control file is.
func (t *Tree) file(controller, group, name string) string {
	if t.v2 {
		return filepath.Join(t.root, group, name)
	}
	return filepath.Join(t.root, controller, group, name)
}

// OOMEvents is the file of a group with a line "oom_kill N", the number of
// processes that the kernel ended for want of memory.
func (t *Tree) OOMEvents(group string) string {
	if t.v2 {
		return t.file("memory", group, "memory.events")
	}
	return t.file("memory", group, "memory.oom_control")
}

// PidsEvents is the file of a group with a line "max N", the number of times that
// its limit stopped a new process.
func (t *Tree) PidsEvents(group string) string { return t.file("pids", group, "pids.events") }

// Create makes a group with the missing ones above it, and sets its limits.
func (t *Tree) Create(group string, limits Limits) error {
	create := t.makeV1
	if t.v2 {
		create = t.makeV2
	}
	if err := create(group); err != nil {
		return fmt.Errorf("create cgroup %s: %w", group, err)
	}
	return t.Set(group, limits)
}

func (t *Tree) makeV1(group string) error {
	for _, controller := range controllersV1 {
		if _, err := os.Stat(filepath.Join(t.root, controller)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Join(t.root, controller, group), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// makeV2 hands the controllers down from group to group.
func (t *Tree) makeV2(group string) error {
	at := t.root
	for _, name := range strings.Split(strings.Trim(group, "/"), "/") {
		if err := write(filepath.Join(at, "cgroup.subtree_control"), "+cpu +memory +pids"); err != nil {
			return err
		}
		at = filepath.Join(at, name)
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// Set changes the limits of a group that exists; those that are zero stay. Where more memory
// is in use than the new limit version 1 refuses it, and version 2 ends processes.
func (t *Tree) Set(group string, limits Limits) error {
	settings := t.settings(limits)
	if !t.v2 && limits.Memory > 0 {
		// With swap the limit is never the lower one, not for a moment either.
		both, err := readNumber(t.file("memory", group, "memory.memsw.limit_in_bytes"))
		if err == nil && api.Bytes(both) < limits.Memory {
			slices.Reverse(settings)
		}
	}
	for _, s := range settings {
		at := t.file(s.controller, group, s.name)
		err := write(at, s.value)
		if s.optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("set limits of cgroup %s: %w", group, err)
		}
	}
	return nil
}

type setting struct {
	controller, name, value string
	optional                bool
}

func (t *Tree) settings(l Limits) []setting {
	var all []setting
	quota := strconv.FormatInt(max(int64(l.CPU)*period/1000, 1000), 10)
	memory, pids := strconv.FormatInt(int64(l.Memory), 10), strconv.FormatInt(l.Pids, 10)
	if l.CPU > 0 && t.v2 {
		all = append(all, setting{"cpu", "cpu.max", fmt.Sprintf("%s %d", quota, period), false})
	}
	if l.CPU > 0 && !t.v2 {
		all = append(all, setting{"cpu", "cpu.cfs_period_us", strconv.Itoa(period), false},
			setting{"cpu", "cpu.cfs_quota_us", quota, false})
	}
	if l.Memory > 0 && t.v2 {
		all = append(all, setting{"memory", "memory.max", memory, false},
			setting{"memory", "memory.swap.max", "0", true})
	}
	if l.Memory > 0 && !t.v2 {
		all = append(all, setting{"memory", "memory.limit_in_bytes", memory, false},
			setting{"memory", "memory.memsw.limit_in_bytes", memory, true})
	}
	if l.Pids > 0 {
		all = append(all, setting{"pids", "pids.max", pids, false})
	}
	return all
}

// Start starts a command that is in the group from its first instruction on. On
// version 1 it moves the calling thread into the group: call it within
// osthread.Do.
func (t *Tree) Start(cmd *exec.Cmd, group string) error {
	if !t.v2 {
		return t.startV1(cmd, group)
	}
	dir, err := os.Open(filepath.Join(t.root, group))
	if err != nil {
		return fmt.Errorf("start in cgroup %s: %w", group, err)
	}
	defer dir.Close()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	return cmd.Start()
}

func (t *Tree) startV1(cmd *exec.Cmd, group string) error {
	for _, controller := range controllersV1 {
		err := write(t.file(controller, group, "tasks"), "0")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("start in cgroup %s: %w", group, err)
		}
	}
	return cmd.Start()
}

// List names the groups directly below a group, in whichever tree they are.
func (t *Tree) List(group string) ([]string, error) {
	found := map[string]bool{}
	for _, tree := range t.trees() {
		entries, err := os.ReadDir(filepath.Join(tree, group))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list cgroup %s: %w", group, err)
		}
		for _, entry := range entries {
			if entry.IsDir() {
				found[entry.Name()] = true
			}
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// trees are the mount points that may hold groups: on version 1 all of them,
// because runsc makes groups in every tree.
func (t *Tree) trees() []string {
	if t.v2 {
		return []string{t.root}
	}
	entries, _ := os.ReadDir(t.root)
	var trees []string
	for _, entry := range entries {
		if entry.IsDir() {
			trees = append(trees, filepath.Join(t.root, entry.Name()))
		}
	}
	return trees
}

func write(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
