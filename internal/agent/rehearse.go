package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/journal"
)

// Rehearse takes a workload of no use through its whole life, the engine's calls
// included, in an agent of its own. Whatever the first real one would wait for is in
// memory then, and its code translated where the processor is emulated. The container's
// program is something short; dir is for its output.
func Rehearse(ctx context.Context, rt runtime.Runtime, c agentpb.Container, dir string) error {
	if err := rehearse(ctx, rt, c, dir); err != nil {
		return fmt.Errorf("rehearse: %w", err)
	}
	return nil
}

func rehearse(ctx context.Context, real runtime.Runtime, c agentpb.Container, dir string) error {
	dir, err := os.MkdirTemp(dir, "rehearsal")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ours, theirs := net.Pipe()
	rt := rehearsed{real, make(chan error, 1)}
	go New(ctx, rt, Options{StateDir: dir}).Serve(&single{conn: theirs, ctx: ctx})
	client := agentclient.New(ours)
	defer client.Close()
	w := &agentpb.Workload{
		ID: "rehearsal", Hostname: "rehearsal", RestartPolicy: api.RestartNever,
		Containers: []agentpb.Container{c},
	}
	if err := client.Run(ctx, w); err != nil {
		return err
	}
	for state, err := range client.Watch(ctx, 0) {
		if err != nil {
			return err
		}
		if state.Finished {
			break
		}
	}
	if err := client.Logs(ctx, c.Name, 0, 0, func(journal.Chunk) error { return nil }); err != nil {
		return err
	}
	select {
	case err := <-rt.deleted:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rehearsed tells when the workload's container has been deleted.
type rehearsed struct {
	runtime.Runtime
	deleted chan error
}

// Start implements runtime.Runtime.
func (r rehearsed) Start(ctx context.Context, c *agentpb.Container, s runtime.Stdio) (runtime.Process, error) {
	p, err := r.Runtime.Start(ctx, c, s)
	if err != nil {
		r.deleted <- err
		return nil, err
	}
	return rehearsedProcess{p, r.deleted}, nil
}

type rehearsedProcess struct {
	runtime.Process
	deleted chan error
}

// Delete implements runtime.Process.
func (p rehearsedProcess) Delete(ctx context.Context) error {
	err := p.Process.Delete(ctx)
	p.deleted <- err
	return err
}

// single is a listener with one connection to give.
type single struct {
	conn net.Conn
	ctx  context.Context
}

// Accept implements net.Listener.
func (s *single) Accept() (net.Conn, error) {
	if conn := s.conn; conn != nil {
		s.conn = nil
		return conn, nil
	}
	<-s.ctx.Done()
	return nil, io.EOF
}

// Close implements net.Listener.
func (s *single) Close() error { return nil }

// Addr implements net.Listener.
func (s *single) Addr() net.Addr { return &net.UnixAddr{} }
