package cgroup

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/osthread"
)

// group makes a group of its own for the test.
func group(t *testing.T, tree *Tree) string {
	name := "/cis-test-cgroup-" + filepath.Base(t.TempDir()) + "-" + t.Name()
	t.Cleanup(func() {
		if err := tree.Remove(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	return name
}

// forker is a program whose processes come and go in a tree.
const forker = "sleep 1000 & (sleep 1000 & while :; do sleep 0.01; done) & while :; do sleep 0.01; done"

func start(t *testing.T, tree *Tree, group, script string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	if err := osthread.Do(func() error { return tree.Start(cmd, group) }); err != nil {
		t.Fatal(err)
	}
	go cmd.Wait()
}

func TestHost(t *testing.T) {
	tree, err := Open(Root)
	if err != nil {
		t.Fatal(err)
	}
	top := group(t, tree)
	inner := top + "/inner"
	if err := tree.Create(inner, Limits{CPU: 200, Memory: 64 << 20, Pids: 50}); err != nil {
		t.Fatal(err)
	}
	if err := tree.Create(top+"/other", Limits{}); err != nil {
		t.Fatal(err)
	}
	start(t, tree, inner, forker)
	time.Sleep(200 * time.Millisecond)
	if usage, err := tree.Usage(inner); err != nil || usage.CPUSeconds == 0 || usage.Memory == 0 {
		t.Errorf("usage: %+v %v", usage, err)
	}
	if names, err := tree.List(top); err != nil || strings.Join(names, " ") != "inner other" {
		t.Errorf("list: %v %v", names, err)
	}
	pids, err := tree.pids(top)
	if err != nil || len(pids) < 3 {
		t.Errorf("pids: %v %v", pids, err)
	}
	for _, file := range []string{tree.OOMEvents(inner), tree.PidsEvents(inner)} {
		if _, err := os.ReadFile(file); err != nil {
			t.Error(err)
		}
	}
	began := time.Now()
	if err := tree.Remove(t.Context(), top); err != nil {
		t.Fatal(err)
	}
	t.Logf("removed in %v", time.Since(began))
	for _, pid := range pids {
		if state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && !strings.Contains(string(state), ") Z ") {
			t.Errorf("process %d lives", pid)
		}
	}
	if _, err := tree.Usage(inner); err == nil {
		t.Error("a removed group has a usage")
	}
	if names, err := tree.List(top); err != nil || len(names) > 0 {
		t.Errorf("list: %v %v", names, err)
	}
	if err := tree.Remove(t.Context(), top); err != nil {
		t.Errorf("remove again: %v", err)
	}
}

// A limit of memory can be raised and lowered, with that of swap or without.
func TestSetMemory(t *testing.T) {
	tree, err := Open(Root)
	if err != nil {
		t.Fatal(err)
	}
	name := group(t, tree)
	if err := tree.Create(name, Limits{Memory: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	file := map[bool]string{true: "memory.max", false: "memory.limit_in_bytes"}[tree.v2]
	for _, limit := range []api.Bytes{128 << 20, 32 << 20, 33 << 20, 33 << 20} {
		if err := tree.Set(name, Limits{CPU: 500, Memory: limit}); err != nil {
			t.Errorf("%s: %v", limit, err)
		}
		if got, err := readNumber(tree.file("memory", name, file)); err != nil || api.Bytes(got) != limit {
			t.Errorf("it is %d, want %s: %v", got, limit, err)
		}
	}
}

// TestUnified tries version 2's tree itself, whatever controllers it has here.
func TestUnified(t *testing.T) {
	tree := &Tree{root: unified(t), v2: true}
	top := group(t, tree)
	if err := os.MkdirAll(filepath.Join(tree.root, top, "inner"), 0o755); err != nil {
		t.Fatal(err)
	}
	start(t, tree, top+"/inner", forker)
	time.Sleep(100 * time.Millisecond)
	if pids, err := tree.pids(top); err != nil || len(pids) < 3 {
		t.Errorf("pids: %v %v", pids, err)
	}
	if names, err := tree.List(top); err != nil || strings.Join(names, " ") != "inner" {
		t.Errorf("list: %v %v", names, err)
	}
	if err := tree.Remove(t.Context(), top); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tree.root, top)); err == nil {
		t.Error("the group is still there")
	}
}

// unified finds where version 2 is mounted.
func unified(t *testing.T) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			return fields[1]
		}
	}
	t.Fatal("version 2 of cgroups is not mounted")
	return ""
}

// fake makes a directory that looks like a group of version 2.
func fake(t *testing.T, files map[string]string) *Tree {
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return &Tree{root: root, v2: true}
}

func TestVersion2Files(t *testing.T) {
	tree := fake(t, map[string]string{
		"cgroup.subtree_control": "", "a/cgroup.subtree_control": "", "a/b/cpu.max": "", "a/b/memory.max": "",
		"a/b/memory.swap.max": "", "a/b/pids.max": "", "a/b/memory.current": "5000\n",
		"a/b/cpu.stat": "usage_usec 1500000\nuser_usec 1\n", "a/b/memory.stat": "anon 1\ninactive_file 1000\n",
	})
	if err := tree.Create("/a/b", Limits{CPU: 250, Memory: 1 << 20, Pids: 7}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"cgroup.subtree_control": "+cpu +memory +pids", "a/cgroup.subtree_control": "+cpu +memory +pids",
		"a/b/cpu.max": "25000 100000", "a/b/memory.max": "1048576", "a/b/memory.swap.max": "0", "a/b/pids.max": "7",
	} {
		if got, _ := os.ReadFile(filepath.Join(tree.root, name)); string(got) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if usage, err := tree.Usage("/a/b"); err != nil || usage != (Usage{CPUSeconds: 1.5, Memory: 4000, MemoryUsage: 5000, MemoryRSS: 1}) {
		t.Errorf("%+v %v", usage, err)
	}
	os.Remove(filepath.Join(tree.root, "a/b/memory.swap.max"))
	if err := tree.Set("/a/b", Limits{Memory: 2 << 20}); err != nil {
		t.Errorf("without swap: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "cpu controller") {
		t.Error(err)
	}
	if _, err := Open("/nowhere"); err == nil {
		t.Error("opened nothing")
	}
}

func TestKillAllOfEnded(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if err := killAll(t.Context(), []int{cmd.Process.Pid}); err != nil {
		t.Error(err)
	}
	sleeper := exec.Command("/bin/sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	if err := killAll(t.Context(), []int{sleeper.Process.Pid}); err != nil {
		t.Error(err)
	}
	if err := sleeper.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Error(err)
	}
}
