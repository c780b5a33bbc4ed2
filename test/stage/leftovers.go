package stage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sandboxes lists what is on the host for sandboxes of this stage: their
// directories, cgroups, network namespaces, and the processes that name them.
func (s *Stage) Sandboxes() []string {
	var found []string
	for _, dir := range s.sandboxDirs() {
		found = append(found, glob(filepath.Join(dir, "*"))...)
	}
	found = append(found, glob("/run/netns/"+s.Prefix+"-nic-*")...)
	// Version 2 of cgroups has one tree, version 1 one for each controller.
	for _, group := range []string{s.Prefix, s.Prefix + "/vm"} {
		found = append(found, glob("/sys/fs/cgroup/"+group+"/s-*")...)
		found = append(found, glob("/sys/fs/cgroup/*/"+group+"/s-*")...)
	}
	for pid, args := range processes() {
		if s.names(args, "") {
			found = append(found, fmt.Sprintf("process %s: %s", pid, args))
		}
	}
	return found
}

// sandboxDirs are where the sandboxes have their directories, one for each machine.
func (s *Stage) sandboxDirs() []string {
	return []string{filepath.Join(s.Dir, "data", "sandboxes"), filepath.Join(s.Dir, "data", "vms")}
}

// names tells whether the arguments of a process name a sandbox of this stage: that
// one, or with an empty ID any.
func (s *Stage) names(args, id string) bool {
	return slices.ContainsFunc(s.sandboxDirs(), func(dir string) bool { return strings.Contains(args, dir+"/s-"+strings.TrimPrefix(id, "s-")) })
}

// Leftovers tells what of the stage is on the host but for its files and its registry.
func (s *Stage) Leftovers() error {
	found := s.Sandboxes()
	found = append(found, glob("/run/netns/"+s.Prefix+"-*")...)
	found = append(found, glob("/sys/class/net/"+s.Prefix+"-*")...)
	found = append(found, glob("/sys/fs/cgroup/"+s.Prefix)...)
	found = append(found, glob("/sys/fs/cgroup/*/"+s.Prefix)...)
	found = append(found, s.LoopDevices()...)
	mounts, err := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, s.Dir) || strings.Contains(line, "/"+s.Prefix+"-") {
			found = append(found, "mount "+line)
		}
	}
	for pid, args := range processes() {
		if strings.Contains(args, s.Dir) && (s.registry == nil || pid != fmt.Sprint(s.registry.Pid())) {
			found = append(found, fmt.Sprintf("process %s: %s", pid, args))
		}
	}
	if tables, listErr := exec.Command("nft", "list", "tables").Output(); listErr == nil {
		for line := range strings.Lines(string(tables)) {
			if strings.HasSuffix(strings.TrimSpace(line), " "+s.Prefix) {
				found = append(found, "nft "+line)
			}
		}
	}
	if len(found) > 0 {
		err = errors.Join(err, fmt.Errorf("left behind:\n%s", strings.Join(found, "\n")))
	}
	return err
}

// LoopDevices lists those with a file of the stage behind them: disks that are mounted,
// wherever that may be.
func (s *Stage) LoopDevices() (found []string) {
	for _, path := range glob("/sys/block/loop*/loop/backing_file") {
		if file, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(file), s.Dir) {
			found = append(found, fmt.Sprintf("%s: %s", path, strings.TrimSpace(string(file))))
		}
	}
	return found
}

func glob(pattern string) []string {
	found, _ := filepath.Glob(pattern) // fails for bad patterns only
	return found
}

// processes are the arguments of all processes on the host, by pid.
func processes() map[string]string {
	all := map[string]string{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if name := e.Name(); name[0] >= '0' && name[0] <= '9' {
			// A process may end before it is read.
			if args, err := os.ReadFile("/proc/" + name + "/cmdline"); err == nil {
				all[name] = strings.ReplaceAll(string(args), "\x00", " ")
			}
		}
	}
	return all
}

// KillSandbox ends the processes that name a sandbox of this stage, as the kernel
// would for want of memory, and tells how many they were.
func (s *Stage) KillSandbox(id string) int { return s.SignalSandbox(id, syscall.SIGKILL) }

// SignalSandbox sends a signal to those processes.
func (s *Stage) SignalSandbox(id string, signal syscall.Signal) (count int) {
	for pid, args := range processes() {
		if !s.names(args, id) {
			continue
		}
		if n, err := strconv.Atoi(pid); err == nil && syscall.Kill(n, signal) == nil {
			count++
		}
	}
	return count
}

// agentStacks ends the agents and returns what they were doing.
func (s *Stage) agentStacks() string {
	for pid, args := range processes() {
		if n, err := strconv.Atoi(pid); err == nil && strings.Contains(args, "cis-agent") && strings.Contains(args, s.Dir) {
			_ = syscall.Kill(n, syscall.SIGQUIT) // one that has ended has nothing to say
		}
	}
	time.Sleep(time.Second)
	var all strings.Builder
	for _, file := range glob(filepath.Join(s.Dir, "data", "sandboxes", "*", "agent.log")) {
		data, _ := os.ReadFile(file)
		fmt.Fprintf(&all, "%s:\n%s\n", file, data)
	}
	return all.String()
}
