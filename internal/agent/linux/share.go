package linux

import (
	"context"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cis/internal/agent/linux/inside"
)

// share starts cis-pause as process 1 of the PID namespace that all containers get.
func (r *Runtime) share(ctx context.Context) error {
	c, err := r.obtain(nil)
	if err != nil {
		return err
	}
	c.name = "pause"
	if err := c.hold(ctx); err != nil {
		c.abandon(ctx)
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pause = c
	return nil
}

// hold makes the helper cis-pause, in an empty directory and without privileges: others see
// the process, and /proc shows them what it sees.
func (c *container) hold(ctx context.Context) error {
	for _, dir := range inside.SystemDirs {
		if err := os.MkdirAll(filepath.Join(c.root(), dir), 0o755); err != nil {
			return err
		}
	}
	root, err := cloneMount(c.root(), unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	input, held, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	order := inside.Order{Container: &inside.Container{ReadOnly: true}, Program: inside.Program{
		Own: true, Args: []string{"cis-pause"}, Env: []string{"GOMAXPROCS=1"}, Dir: "/", UID: nobody, GID: nobody, NoNewPrivileges: true,
	}}
	if err := c.helper.order(ctx, order, append(numbers([3]*os.File{input, c.r.null, c.r.null}), root)...); err != nil {
		held.Close()
		return err
	}
	c.held = held
	c.main = c.adopt(c.helper.process)
	return nil
}

// nobody is a user that owns nothing.
const nobody = 65534
