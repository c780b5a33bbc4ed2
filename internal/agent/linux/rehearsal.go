package linux

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// Rehearsal is a runtime for a workload that is of no use but to be run (see
// agent.Rehearse): whatever the container shall be, it has cis-pause, the only program
// that is here, which ends at once. Dir is for its files, and best on a disk as those
// of containers are.
func (r *Runtime) Rehearsal(dir string) runtime.Runtime { return rehearsal{r, dir} }

type rehearsal struct {
	*Runtime
	dir string
}

// Start implements runtime.Runtime.
func (r rehearsal) Start(ctx context.Context, spec *agentpb.Container, stdio runtime.Stdio) (runtime.Process, error) {
	c, err := r.obtain(nil)
	if err != nil {
		return nil, err
	}
	program := *spec
	program.Args = []string{"/cis-pause", "nothing"}
	c.name, c.spec = spec.Name, &program
	c.layer = filepath.Join(r.dir, "rehearsal")
	if err := c.rehearse(ctx, stdio); err != nil {
		c.abandon(ctx)
		return nil, err
	}
	return &mainProcess{c.main}, nil
}

func (c *container) rehearse(ctx context.Context, stdio runtime.Stdio) error {
	image := filepath.Join(c.layer, "image")
	if err := copyProgram(filepath.Join(image, "cis-pause"), c.r.conf.Tool); err != nil {
		return err
	}
	w := &agentpb.Workload{Hostname: "rehearsal"}
	if err := c.overlay(image, w); err != nil {
		return err
	}
	return c.run(ctx, w, streams(stdio))
}

func copyProgram(to, from string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}

// MakeAhead makes the next container as far as it can be made without an image, and
// lets it wait.
func (r *Runtime) MakeAhead(ctx context.Context) error {
	c, err := r.begin(nil)
	if err != nil {
		return fmt.Errorf("make a container ahead: %w", err)
	}
	if err := c.helper.await(ctx); err != nil {
		c.abandon(ctx)
		return fmt.Errorf("make a container ahead: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = c
	return nil
}
