package linux

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/linux/inside"
	"cis/internal/agent/runtime"
)

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, name string, e *agentpb.ExecStart, stdio runtime.Stdio) (runtime.Process, error) {
	c, err := r.running(name)
	if err != nil {
		return nil, err
	}
	if err := r.haveRoom(); err != nil {
		return nil, fmt.Errorf("exec in %s: %w", name, err)
	}
	program, err := programOf(execSpec(c.spec, e))
	if err != nil {
		return nil, err
	}
	p, err := c.exec(ctx, program, streams(stdio))
	if err != nil {
		return nil, fmt.Errorf("exec in %s: %w", name, err)
	}
	return p, nil
}

// helperThreads is how many a helper may have until it becomes its program.
const helperThreads = 8

// haveRoom refuses where a helper could not have its threads: it would end with words
// that are of no use to anybody.
func (r *Runtime) haveRoom() error {
	r.mu.Lock()
	limit := r.workload.Pids
	r.mu.Unlock()
	used, err := r.groups.Pids(r.conf.Cgroup)
	if err != nil || limit == 0 || used+helperThreads <= limit {
		return err
	}
	return api.Errorf(api.Exhausted, "the instance has %d of %d processes and threads, and one more program needs %d to begin", used, limit, helperThreads).
		WithNext("end some of them")
}

// execSpec describes a program that runs as the container's main one does, but for
// what the caller says.
func execSpec(c *agentpb.Container, e *agentpb.ExecStart) *agentpb.Container {
	merged := *c
	merged.Args = e.Args
	merged.Env = append(append([]string{}, c.Env...), e.Env...)
	if e.Cwd != "" {
		merged.Cwd = e.Cwd
	}
	if e.User != nil {
		merged.UID, merged.GID, merged.Groups = e.User.UID, e.User.GID, e.User.Groups
	}
	return &merged
}

// exec starts one more program in the container.
func (c *container) exec(ctx context.Context, p inside.Program, files [3]*os.File) (*program, error) {
	pidfd, err := c.open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(pidfd)
	h, err := c.r.newProgram(c, pidfd)
	if err != nil {
		return nil, err
	}
	err = h.order(ctx, inside.Order{Program: p}, append(numbers(files), pidfd)...)
	if err != nil {
		h.dismiss()
		return nil, err
	}
	return c.adopt(h.process), nil
}

func (r *Runtime) running(name string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[name]
	if c == nil {
		return nil, notRunning(name)
	}
	select {
	case <-c.main.ended:
		return nil, notRunning(name)
	default:
		return c, nil
	}
}

// notRunning is the answer for a container that does not run.
func notRunning(name string) error {
	return &api.Error{Code: api.Conflict, Message: fmt.Sprintf("container %s does not run", name), Next: "wait until it has started"}
}
