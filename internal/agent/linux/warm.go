package linux

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"cis/internal/agent/agentpb"
)

// Warm runs a program of no use in a container of its own, so that whatever the first
// container would wait for is in memory, and makes that one as far as it can be made
// without an image. It is for a VM that will be copied, or waits.
func (r *Runtime) Warm(ctx context.Context) error {
	c, err := r.obtain()
	if err == nil {
		err = c.rehearse(ctx)
	}
	if err == nil {
		err = r.keepWaiting(ctx)
	}
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

// rehearse takes a container through its whole life.
func (c *container) rehearse(ctx context.Context) error {
	err := c.runNothing(ctx)
	if err != nil {
		c.abandon(ctx)
		return err
	}
	if _, err := c.main.Wait(); err != nil {
		return err
	}
	return c.clear(ctx)
}

// runNothing runs cis-pause, the only program that is here, to a quick end.
func (c *container) runNothing(ctx context.Context) error {
	c.name, c.spec = "warm", &agentpb.Container{Args: []string{"/cis-pause", "nothing"}, Cwd: "/"}
	image := filepath.Join(c.r.conf.rootsDir(), "warm")
	defer os.RemoveAll(image)
	if err := copyProgram(filepath.Join(image, "cis-pause"), c.r.conf.Tool); err != nil {
		return err
	}
	c.layer = filepath.Join(c.r.conf.rootsDir(), "warm-layer")
	w := &agentpb.Workload{Hostname: "warm"}
	if err := c.overlay(image, w); err != nil {
		return err
	}
	return c.run(ctx, w, [3]*os.File{c.r.null, c.r.null, c.r.null})
}

func copyProgram(to, from string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}

// keepWaiting makes the next container wait for its image.
func (r *Runtime) keepWaiting(ctx context.Context) error {
	c, err := r.begin()
	if err != nil {
		return err
	}
	if err := c.helper.await(ctx); err != nil {
		c.abandon(ctx)
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = c
	return nil
}
