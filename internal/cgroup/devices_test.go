package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cis/internal/osthread"
)

// TestAllowDevices: a process in the group, and in one below, opens what is allowed
// and nothing else.
func TestAllowDevices(t *testing.T) {
	tree := &Tree{root: mountV2(t), v2: true}
	group := "cis-test-" + filepath.Base(t.TempDir())
	below := filepath.Join(tree.root, group, "below")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{below, filepath.Dir(below)} {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	if err := tree.AllowDevices(group, []Device{{1, 3}, {1, 9}, {136, AnyMinor}}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(below), below} {
		for file, allowed := range map[string]bool{"/dev/null": true, "/dev/urandom": true, "/dev/zero": false, "/dev/full": false, "/dev/tty": false} {
			err := openIn(tree, dir, file)
			if denied := err != nil && strings.Contains(err.Error(), "not permitted"); denied == allowed {
				t.Errorf("%s in %s: %v", file, dir, err)
			}
		}
	}
	if err := (&Tree{root: Root}).AllowDevices(group, nil); err == nil {
		t.Error("version 1 took it")
	}
}

// mountV2 mounts version 2 of cgroups, whatever else is mounted.
func mountV2(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("cgroup", dir, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// openIn opens a file for reading in a process of the group.
func openIn(tree *Tree, dir, file string) error {
	group, err := filepath.Rel(tree.root, dir)
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", "exec 3<"+file)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	err = osthread.Do(func() error { return tree.Start(cmd, group) })
	if err == nil && cmd.Wait() != nil {
		err = &os.PathError{Op: "open", Path: file, Err: errorText(complaint.String())}
	}
	return err
}

type errorText string

func (e errorText) Error() string { return string(e) }
