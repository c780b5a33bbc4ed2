package crun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// container is one attempt of a container.
type container struct {
	runtime *Runtime
	// id is new for every attempt.
	id   string
	spec *agentpb.Container
	pid  int
}

func (c *container) dir() string     { return filepath.Join(c.runtime.conf.Dir, "containers", c.id) }
func (c *container) root() string    { return filepath.Join(c.dir(), "root") }
func (c *container) pidFile() string { return filepath.Join(c.dir(), "pid") }
func (c *container) group() string   { return group + "/" + c.id }

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec *agentpb.Container, stdio runtime.Stdio) (runtime.Process, error) {
	r.mu.Lock()
	w := r.workload
	r.starts++
	c := &container{runtime: r, id: spec.Name + "-" + strconv.Itoa(r.starts), spec: spec}
	r.mu.Unlock()
	if w == nil {
		return nil, fmt.Errorf("start %s: the VM has no workload yet", spec.Name)
	}
	if err := c.start(ctx, w, stdio); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, errors.Join(err, c.clear()))
	}
	r.mu.Lock()
	r.containers[spec.Name] = c
	r.mu.Unlock()
	return c, nil
}

func (c *container) start(ctx context.Context, w *agentpb.Workload, stdio runtime.Stdio) error {
	if err := os.MkdirAll(c.dir(), 0o711); err != nil {
		return err
	}
	if err := c.makeRoot(w); err != nil {
		return err
	}
	spec, err := c.containerSpec(w)
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(c.dir(), "config.json"), spec); err != nil {
		return err
	}
	// The VM's root cannot be pivoted away from: it is the kernel's own. Created and
	// started in two steps, the program is ours to wait for before it can end.
	err = c.runtime.crun(ctx, stdio, "create", "--no-pivot", "--bundle="+c.dir(), "--pid-file="+c.pidFile(), c.id)
	if err != nil {
		return err
	}
	if c.pid, err = readPid(c.pidFile()); err != nil {
		return err
	}
	return c.runtime.crun(ctx, runtime.Stdio{}, "start", c.id)
}

// crun runs crun to its end with a program's standard streams. What crun itself has
// to say comes back as the error.
func (r *Runtime) crun(ctx context.Context, stdio runtime.Stdio, args ...string) error {
	log, err := os.CreateTemp(r.conf.Dir, "log")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd := exec.CommandContext(ctx, r.conf.Crun, append(r.globals(log.Name()), args...)...)
	cmd.Env = []string{}
	attach(cmd, stdio)
	if err := cmd.Run(); err != nil {
		return complaint(log.Name(), err)
	}
	return nil
}

func (r *Runtime) globals(log string) []string {
	return []string{"--root=" + filepath.Join(r.conf.Dir, "state"), "--cgroup-manager=cgroupfs", "--log=file:" + log}
}

// attach gives a command a program's streams.
func attach(cmd *exec.Cmd, stdio runtime.Stdio) {
	if stdio.Terminal != nil {
		stdio = runtime.Stdio{Stdin: stdio.Terminal, Stdout: stdio.Terminal, Stderr: stdio.Terminal}
	}
	// An absent stream is /dev/null, not a file of ours; a nil *os.File is not nil.
	if stdio.Stdin != nil {
		cmd.Stdin = stdio.Stdin
	}
	if stdio.Stdout != nil {
		cmd.Stdout = stdio.Stdout
	}
	if stdio.Stderr != nil {
		cmd.Stderr = stdio.Stderr
	}
}

// complaint is crun's own word on why it failed.
func complaint(log string, err error) error {
	data, _ := os.ReadFile(log)
	text := strings.TrimSpace(string(data))
	if text == "" {
		return fmt.Errorf("crun: %w", err)
	}
	lines := strings.Split(text, "\n")
	return errors.New(withoutTime(lines[0]))
}

// withoutTime takes the time off a line of crun's log.
func withoutTime(line string) string {
	if head, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(head, "Z") {
		return rest
	}
	return line
}

// Wait implements runtime.Process.
func (c *container) Wait() (runtime.Exit, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(c.pid, &status, 0, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return runtime.Exit{}, fmt.Errorf("wait for %s: %w", c.id, err)
		}
	}
	return exit(status, c.oomKilled()), nil
}

func exit(status unix.WaitStatus, oom bool) runtime.Exit {
	if !status.Signaled() {
		return runtime.Exit{Code: status.ExitStatus()}
	}
	signal := int(status.Signal())
	return runtime.Exit{Code: 128 + signal, Signal: signal, OOMKilled: oom && signal == int(unix.SIGKILL)}
}

// oomKilled tells whether the kernel has killed anything of the container for want
// of memory.
func (c *container) oomKilled() bool {
	data, _ := os.ReadFile(filepath.Join(cgroupRoot, c.group(), "memory.events"))
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}

// Signal implements runtime.Process.
func (c *container) Signal(_ context.Context, signal int, all bool) error {
	pids := []int{c.pid}
	if all {
		var err error
		if pids, err = c.pids(); err != nil {
			return fmt.Errorf("signal %s: %w", c.id, err)
		}
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, unix.Signal(signal)); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal %s: %w", c.id, err)
		}
	}
	return nil
}

// pids lists the processes of the container.
func (c *container) pids() (all []int, err error) {
	data, err := os.ReadFile(filepath.Join(cgroupRoot, c.group(), "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		all = append(all, pid)
	}
	return all, nil
}

// Delete implements runtime.Process.
func (c *container) Delete(context.Context) error {
	r := c.runtime
	r.mu.Lock()
	if r.containers[c.spec.Name] == c {
		delete(r.containers, c.spec.Name)
	}
	r.mu.Unlock()
	if err := c.clear(); err != nil {
		return fmt.Errorf("delete %s: %w", c.id, err)
	}
	return nil
}

// clear removes what was made for the container, however far that had come. It does
// by hand what crun would start a process for.
func (c *container) clear() error {
	var errs []error
	if err := unix.Unmount(c.root(), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		errs = append(errs, fmt.Errorf("unmount the root: %w", err))
	}
	errs = append(errs, os.RemoveAll(filepath.Join(c.runtime.conf.Dir, "state", c.id)))
	if err := os.Remove(filepath.Join(cgroupRoot, c.group())); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir()))...)
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func readPid(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}
