package agent

import (
	"bufio"
	"context"
	"io"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/agent/stream"
)

// forward joins a call with a port inside, until both directions have ended or one
// has failed.
func (a *Agent) forward(ctx context.Context, s *stream.Stream, port uint16) error {
	if port == 0 {
		return api.Errorf(api.Invalid, "port 0 cannot be connected to").WithNext("Ports are 1 to 65535.")
	}
	conn, err := a.rt.Dial(ctx, runtime.Localhost(port))
	if err != nil {
		return api.Errorf(api.Unavailable, "port %d does not answer: %w", port, err).
			WithNext("Check that the program listens on it.")
	}
	defer conn.Close()
	if err := s.Send(&agentpb.Frame{Started: true}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	done := make(chan error, 2)
	go func() {
		_, err := io.Copy(stream.Writer{Stream: s}, conn)
		if err == nil {
			err = s.Send(&agentpb.Frame{Eof: true})
		}
		done <- err
	}()
	go func() {
		_, err := io.Copy(conn, stream.NewReader(s))
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
		done <- err
	}()
	for range 2 {
		select {
		case err := <-done:
			if err != nil {
				return nil // the program has closed the connection: an end like any other
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (a *Agent) copyOut(ctx context.Context, s *stream.Stream, req agentpb.CopyRequest) error {
	if _, err := a.runningNow(req.Container); err != nil {
		return err
	}
	w := bufio.NewWriterSize(stream.Writer{Stream: s}, readSize)
	if err := a.rt.CopyOut(ctx, req.Container, req.Path, w); err != nil {
		return err
	}
	return w.Flush()
}

func (a *Agent) copyIn(ctx context.Context, s *stream.Stream, req agentpb.CopyRequest) error {
	if _, err := a.runningNow(req.Container); err != nil {
		return err
	}
	r := stream.NewReader(s)
	if err := a.rt.CopyIn(ctx, req.Container, req.Path, r); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r) // what follows the archive's end
	return err
}
