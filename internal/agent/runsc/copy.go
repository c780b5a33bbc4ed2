package runsc

import (
	"context"
	"fmt"
	"io"
	"os"

	"cis/internal/agent/copyrun"
	"cis/internal/agent/runtime"
)

// CopyOut implements runtime.Runtime.
func (s *Sandbox) CopyOut(ctx context.Context, container, path string, w io.Writer) error {
	return copyrun.Out(ctx, s.copier(container), path, w)
}

// CopyIn implements runtime.Runtime.
func (s *Sandbox) CopyIn(ctx context.Context, container, path string, r io.Reader) error {
	return copyrun.In(ctx, s.copier(container), path, r)
}

// copier runs cis-pause, handed over as an open file, in the container.
func (s *Sandbox) copier(name string) copyrun.Starter {
	return func(ctx context.Context, args []string, stdin, stdout, stderr *os.File) (runtime.Process, error) {
		c, err := s.running(name)
		if err != nil {
			return nil, err
		}
		program, err := os.Open(s.conf.Pause)
		if err != nil {
			return nil, fmt.Errorf("open the copying program: %w", err)
		}
		defer program.Close()
		caps, err := capabilitySet(copyrun.Capabilities)
		if err != nil {
			return nil, err
		}
		return s.exec(ctx, execArgs{
			ContainerID: c.id, Argv: append([]string{"cis-pause"}, args...), WorkingDirectory: "/", Capabilities: caps,
		}, program, stdin, stdout, stderr)
	}
}
