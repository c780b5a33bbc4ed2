package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/lastwords"
	"cis/internal/agent/linux/inside"
	"cis/internal/agent/runtime"
	"cis/internal/cgroup"
)

// container is one attempt of a container.
type container struct {
	r *Runtime
	// id is new for every attempt.
	id string
	// group is its cgroup.
	group string
	// helper becomes the main program.
	helper *helper
	// joins: its PID namespace is another's, so that it does not end with the main program.
	joins bool

	name string
	spec *agentpb.Container
	main *program
	// killed: it is to end, whatever it waits for.
	killed atomic.Bool
	// held keeps the one that holds a shared PID namespace from ending.
	held *os.File

	// What clear takes down again.
	mounted bool
	layer   string
	images  []string

	oomKills counter
}

// message is the file for the program's last words.
func (c *container) message() string { return filepath.Join(c.layer, "message") }

func (c *container) root() string { return filepath.Join(c.r.conf.rootsDir(), c.id) }

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
	workload, in := r.workload, r.pause
	r.mu.Unlock()
	if workload == nil {
		return nil, fmt.Errorf("start %s: the sandbox has no workload yet", spec.Name)
	}
	var err error
	if in == nil && spec.Target != "" {
		in, err = r.running(spec.Target)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	c, err := r.obtain(in)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	c.name, c.spec = spec.Name, spec
	over := make(chan struct{})
	defer close(over)
	defer context.AfterFunc(ctx, func() { r.abortShares(over) })()
	if err := c.start(ctx, workload, stdio); err != nil {
		c.abandon(ctx)
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	r.mu.Lock()
	r.containers[spec.Name] = c
	r.mu.Unlock()
	return &mainProcess{c.main}, nil
}

// abandon takes down a container of which the start has failed, even when ctx has
// ended meanwhile.
func (c *container) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	c.helper.dismiss()
	c.clear(ctx)
}

// obtain returns the container that waits, or one that is just begun: in the PID namespace
// of another if one is named.
func (r *Runtime) obtain(in *container) (*container, error) {
	if in != nil {
		return r.begin(in)
	}
	r.mu.Lock()
	c := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	if c != nil {
		return c, nil
	}
	return r.begin(nil)
}

// begin makes what of a container needs no image: its cgroup and its helper.
func (r *Runtime) begin(in *container) (*container, error) {
	r.mu.Lock()
	r.starts++
	id := strconv.Itoa(r.starts)
	r.mu.Unlock()
	c := &container{r: r, id: id, group: path.Join(r.conf.Cgroup, id), joins: in != nil}
	err := r.groups.Create(c.group, cgroup.Limits{})
	if err != nil {
		return nil, err
	}
	if c.helper, err = r.newContainer(c.group, in); err != nil {
		return nil, errors.Join(err, r.groups.Remove(context.Background(), c.group))
	}
	return c, nil
}

func (c *container) start(ctx context.Context, w *agentpb.Workload, stdio runtime.Stdio) error {
	if err := c.r.limit(c); err != nil {
		return err
	}
	if err := c.mountRoot(w); err != nil {
		return err
	}
	return c.run(ctx, w, streams(stdio))
}

// run makes the helper the container's main program.
func (c *container) run(ctx context.Context, w *agentpb.Workload, files [3]*os.File) error {
	program, err := programOf(c.spec)
	if err != nil {
		return err
	}
	mounts, err := c.mounts(w)
	defer closeAll(mounts)
	if err != nil {
		return err
	}
	order := inside.Order{Container: &inside.Container{ReadOnly: c.spec.ReadOnly}, Program: program}
	for _, m := range c.spec.Mounts {
		order.Container.Targets = append(order.Container.Targets, m.Path)
	}
	if c.spec.MessagePath != "" {
		order.Container.Targets = append(order.Container.Targets, c.spec.MessagePath)
	}
	err = c.helper.order(ctx, order, append(numbers(files), mounts...)...)
	if err == nil {
		c.main = c.adopt(c.helper.process)
	}
	return err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// mainProcess is the main program of a container.
type mainProcess struct{ *program }

// Wait implements runtime.Process.
func (p *mainProcess) Wait() (runtime.Exit, error) {
	exit, err := p.program.Wait()
	if err == nil && p.container.spec.MessagePath != "" {
		exit.LastWords = lastwords.Or(lastwords.Read(p.container.message()))
	}
	return exit, err
}

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
	failures := []error{c.r.groups.Remove(ctx, c.group)} // which ends what still runs
	if c.mounted {
		failures = append(failures, unmount(c.root()))
	}
	c.mounted = false
	if c.layer != "" {
		failures = append(failures, os.RemoveAll(c.layer))
	}
	for _, image := range c.images {
		failures = append(failures, c.r.images.release(image))
	}
	c.images = nil
	return errors.Join(failures...)
}
