package crun

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cis/internal/agent/agentpb"
)

// Warm runs a program of no use in a container of its own, so that whatever the first
// container would wait for is in memory: crun with its libraries, its filter of system
// calls, the kernel's own. It is for a VM that will be copied.
func (r *Runtime) Warm(ctx context.Context) error {
	c := &container{r: r, name: "warm", id: "warm", spec: &agentpb.Container{Args: []string{"/cis-pause", "nothing"}, Cwd: "/"}}
	err := c.warm(ctx)
	if cleared := c.clear(ctx); err == nil {
		err = cleared
	}
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

func (c *container) warm(ctx context.Context) error {
	if err := os.MkdirAll(c.root(), 0o700); err != nil {
		return err
	}
	if err := copyProgram(filepath.Join(c.root(), "cis-pause"), c.r.conf.Tool); err != nil {
		return err
	}
	for _, dir := range []string{"dev", "proc", "sys"} {
		if err := os.Mkdir(filepath.Join(c.root(), dir), 0o755); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(c.r.conf.bundle(c.id), "config.json"), c.bundleSpec(nil, 0)); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	c.main, err = c.launch(ctx, launch{
		args: []string{"run", "--no-pivot", "--bundle=" + c.r.conf.bundle(c.id)}, reports: true, files: [3]*os.File{null, null, null},
	})
	if err != nil {
		return err
	}
	_, err = c.main.Wait()
	return err
}

func copyProgram(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}
