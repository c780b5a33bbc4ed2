package crun

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, name string, e *agentpb.ExecStart, stdio runtime.Stdio) (runtime.Process, error) {
	c, err := r.running(name)
	if err != nil {
		return nil, err
	}
	p, err := c.exec(ctx, execSpec(c.spec, e), true, standard(stdio))
	if err != nil {
		return nil, fmt.Errorf("exec in %s: %w", name, err)
	}
	return p, nil
}

// execSpec describes a program that runs as the container's main one does, but for
// what the caller says.
func execSpec(c *agentpb.Container, e *agentpb.ExecStart) *specs.Process {
	merged := *c
	merged.Args = e.Args
	merged.Env = append(append([]string{}, c.Env...), e.Env...)
	if e.Cwd != "" {
		merged.Cwd = e.Cwd
	}
	if e.User != nil {
		merged.UID, merged.GID, merged.Groups = e.User.UID, e.User.GID, e.User.Groups
	}
	return programSpec(&merged)
}

// exec starts one more program in the container.
func (c *container) exec(ctx context.Context, spec *specs.Process, reports bool, files [3]*os.File) (*program, error) {
	dir, err := os.MkdirTemp(c.r.conf.bundle(c.id), "exec")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "process.json")
	if err := writeJSON(file, spec); err != nil {
		return nil, err
	}
	return c.launch(ctx, launch{args: []string{"exec", "--process=" + file}, reports: reports, files: files})
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
