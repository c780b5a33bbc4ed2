package linux

import (
	"context"
	"io"
	"os"

	"cis/internal/agent/caps"
	"cis/internal/agent/copyrun"
	"cis/internal/agent/linux/inside"
	"cis/internal/agent/runtime"
)

// CopyOut implements runtime.Runtime.
func (r *Runtime) CopyOut(ctx context.Context, container, path string, w io.Writer) error {
	return copyrun.Out(ctx, r.copier(container), path, w)
}

// CopyIn implements runtime.Runtime.
func (r *Runtime) CopyIn(ctx context.Context, container, path string, from io.Reader) error {
	return copyrun.In(ctx, r.copier(container), path, from)
}

// copier runs cis-pause in the container.
func (r *Runtime) copier(name string) copyrun.Starter {
	return func(ctx context.Context, args []string, stdin, stdout, stderr *os.File) (runtime.Process, error) {
		c, err := r.running(name)
		if err != nil {
			return nil, err
		}
		mask, err := caps.Mask(copyrun.Capabilities)
		if err != nil {
			return nil, err
		}
		p, err := c.exec(ctx, inside.Program{
			Own: true, Args: append([]string{"cis-pause"}, args...), Dir: "/", Capabilities: mask,
		}, [3]*os.File{stdin, stdout, stderr})
		if err != nil {
			return nil, err
		}
		return p, nil
	}
}
