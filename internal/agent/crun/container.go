package crun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// container is one attempt of a container.
type container struct {
	r    *Runtime
	name string
	// id is new for every attempt.
	id   string
	spec *agentpb.Container
	main *program

	// What clear takes down again.
	mounted bool
	layer   string
	images  []string

	oomKills counter
}

func (c *container) root() string  { return filepath.Join(c.r.conf.bundle(c.id), "rootfs") }
func (c *container) group() string { return path.Join(c.r.conf.Cgroup, c.id) }

// acquire mounts an image for as long as the container is there.
func (c *container) acquire(path string) (string, error) {
	dir, err := c.r.images.acquire(path)
	if err == nil {
		c.images = append(c.images, path)
	}
	return dir, err
}

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec *agentpb.Container, stdio runtime.Stdio) (runtime.Process, error) {
	r.mu.Lock()
	workload := r.workload
	r.starts++
	c := &container{r: r, name: spec.Name, id: spec.Name + "-" + strconv.Itoa(r.starts), spec: spec}
	r.mu.Unlock()
	if workload == nil {
		return nil, fmt.Errorf("start %s: the sandbox has no workload yet", spec.Name)
	}
	if err := c.start(ctx, workload, stdio); err != nil {
		// What began goes, even when ctx has ended meanwhile.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		c.clear(after)
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	r.mu.Lock()
	r.containers[spec.Name] = c
	r.mu.Unlock()
	return &mainProcess{c.main}, nil
}

func (c *container) start(ctx context.Context, w *agentpb.Workload, stdio runtime.Stdio) error {
	if err := os.MkdirAll(c.r.conf.bundle(c.id), 0o700); err != nil {
		return err
	}
	if err := c.mountRoot(w); err != nil {
		return err
	}
	volumes, err := c.volumeMounts(w)
	if err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(c.r.conf.bundle(c.id), "config.json"), c.bundleSpec(volumes, w.Memory)); err != nil {
		return err
	}
	c.main, err = c.launch(ctx, launch{
		args: []string{"run", "--no-pivot", "--bundle=" + c.r.conf.bundle(c.id)}, reports: true, files: standard(stdio),
	})
	return err
}

// mainProcess is the main program of a container.
type mainProcess struct{ *program }

// Delete implements runtime.Process.
func (p *mainProcess) Delete(ctx context.Context) error {
	c := p.container
	c.r.mu.Lock()
	if c.r.containers[c.name] == c {
		delete(c.r.containers, c.name)
	}
	c.r.mu.Unlock()
	if err := c.clear(ctx); err != nil {
		return fmt.Errorf("delete %s: %w", c.name, err)
	}
	return nil
}

// clear takes down whatever there is of the container, and goes on after a failure.
func (c *container) clear(ctx context.Context) error {
	conf := c.r.conf
	failures := []error{
		c.r.groups.Remove(ctx, c.group()), // which ends what still runs
		os.RemoveAll(filepath.Join(conf.stateDir(), c.id)),
	}
	if c.mounted {
		failures = append(failures, unmount(c.root()))
	}
	c.mounted = false
	failures = append(failures, os.RemoveAll(conf.bundle(c.id)))
	if c.layer != "" {
		failures = append(failures, os.RemoveAll(c.layer))
	}
	for _, image := range c.images {
		failures = append(failures, c.r.images.release(image))
	}
	c.images = nil
	return errors.Join(failures...)
}
