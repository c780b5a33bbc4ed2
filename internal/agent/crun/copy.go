package crun

import (
	"context"
	"io"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"cis/internal/agent/copyrun"
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
		spec := &specs.Process{
			Args: append([]string{toolPath}, args...), Cwd: "/", Capabilities: capabilities(copyrun.Capabilities),
		}
		p, err := c.exec(ctx, spec, false, [3]*os.File{stdin, stdout, stderr})
		if err != nil {
			return nil, err
		}
		return p, nil
	}
}
