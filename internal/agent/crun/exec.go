package crun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// execution is a program started in a running container, under a crun that waits for
// it and gives its exit code.
type execution struct {
	cmd *exec.Cmd
	pid int
	log string
}

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, name string, e *agentpb.ExecStart, stdio runtime.Stdio) (runtime.Process, error) {
	c, err := r.running(name)
	if err != nil {
		return nil, err
	}
	user := specs.User{UID: c.spec.UID, GID: c.spec.GID, AdditionalGids: c.spec.Groups}
	if e.User != nil {
		user = specs.User{UID: e.User.UID, GID: e.User.GID, AdditionalGids: e.User.Groups}
	}
	cwd := c.spec.Cwd
	if e.Cwd != "" {
		cwd = e.Cwd
	}
	p := process(c.spec, e.Args, slices.Concat(c.spec.Env, e.Env), cwd, user, stdio.Terminal != nil)
	started, err := c.exec(ctx, p, stdio)
	if err != nil {
		return nil, fmt.Errorf("exec in %s: %w", name, err)
	}
	return started, nil
}

// exec starts a program and returns when it runs.
func (c *container) exec(ctx context.Context, p *specs.Process, stdio runtime.Stdio) (*execution, error) {
	spec, err := c.tempJSON(p)
	if err != nil {
		return nil, err
	}
	defer os.Remove(spec)
	pidFile := spec + ".pid"
	defer os.Remove(pidFile)
	x := &execution{log: spec + ".log"}
	x.cmd = exec.Command(c.runtime.conf.Crun, append(c.runtime.globals(x.log), "exec", "--process="+spec, "--pid-file="+pidFile, c.id)...)
	x.cmd.Env = []string{}
	attach(x.cmd, stdio)
	if err := x.cmd.Start(); err != nil {
		return nil, err
	}
	if err := x.awaitPid(ctx, pidFile); err != nil {
		os.Remove(x.log)
		return nil, err
	}
	return x, nil
}

func (c *container) tempJSON(v any) (string, error) {
	file, err := os.CreateTemp(c.dir(), "exec")
	if err != nil {
		return "", err
	}
	file.Close()
	return file.Name(), writeJSON(file.Name(), v)
}

// awaitPid waits until crun has started the program and written its number, or has
// ended instead.
func (x *execution) awaitPid(ctx context.Context, path string) error {
	for {
		if pid, err := readPid(path); err == nil {
			x.pid = pid
			return nil
		}
		if ended, err := hasEnded(x.cmd.Process.Pid); err != nil || ended {
			if pid, err := readPid(path); err == nil { // it was quick
				x.pid = pid
				return nil
			}
			return complaint(x.log, x.cmd.Wait())
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			x.cmd.Process.Kill()
			x.cmd.Wait()
			return context.Cause(ctx)
		}
	}
}

// hasEnded looks at a child without taking note of its end.
func hasEnded(pid int) (bool, error) {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return info.Signo != 0, err
}

// Wait implements runtime.Process: crun ends as its program did, with 128 and the
// signal's number for a program that a signal ended.
func (x *execution) Wait() (runtime.Exit, error) {
	defer os.Remove(x.log)
	err := x.cmd.Wait()
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
		if status, ok := exited.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exit(unix.WaitStatus(status), false), nil
		}
	}
	if err != nil {
		return runtime.Exit{}, fmt.Errorf("wait for a command: %w", err)
	}
	return runtime.Exit{Code: x.cmd.ProcessState.ExitCode()}, nil
}

// Signal implements runtime.Process.
func (x *execution) Signal(_ context.Context, signal int, _ bool) error {
	if err := unix.Kill(x.pid, unix.Signal(signal)); err != nil {
		return fmt.Errorf("signal a command: %w", err)
	}
	return nil
}

// Delete implements runtime.Process: nothing is left of a command that was waited for.
func (x *execution) Delete(context.Context) error { return nil }
