package stream

import (
	"context"
	"encoding/json"
	"io"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// clientConn is the client's end of a ttrpc stream.
type clientConn interface {
	conn
	CloseSend() error
}

// Call runs a call on the client's side: open makes the ttrpc stream, which gets
// the request first. It passes every frame to fn, up to the server's last, and
// returns that one's exit code and error. When ctx ends or fn fails, both sides of
// the call do. Send works from before fn is first called, in any goroutine, until
// the call is over.
func Call[C clientConn](ctx context.Context, open func(context.Context) (C, error), request any,
	begin func(s *Stream), fn func(s *Stream, f *agentpb.Frame) error) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	first, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	// The stream outlives ctx until the server has agreed to its end.
	c, err := open(context.WithoutCancel(ctx))
	if err != nil {
		return 0, agentpb.FromStatus(err)
	}
	s := newStream(context.WithoutCancel(ctx), c)
	defer s.hangUp(c)
	stop := context.AfterFunc(ctx, func() { s.end(ctx.Err()) })
	defer stop()
	if err := s.Send(&agentpb.Frame{Request: first}); err != nil {
		return 0, s.cause(ctx, err)
	}
	if begin != nil {
		begin(s)
	}
	for {
		f, err := s.next(ctx)
		if err != nil {
			return 0, s.cause(ctx, err)
		}
		if f.End {
			return int(f.ExitCode), agentpb.FromError(f.Error)
		}
		if err := fn(s, f); err == io.EOF && s.over.Err() != nil {
			return 0, s.cause(ctx, err) // fn could not answer
		} else if err != nil {
			return 0, err
		}
	}
}

// next is Recv that ends with ctx.
func (s *Stream) next(ctx context.Context) (*agentpb.Frame, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case f, ok := <-s.recv:
		if !ok {
			return nil, io.EOF
		}
		return f, s.took(f)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cause is why a call ended that had no last frame.
func (s *Stream) cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if cause := context.Cause(s.over); cause != nil && cause != io.EOF {
		return agentpb.FromStatus(cause)
	}
	if err == io.EOF {
		return api.Errorf(api.Unavailable, "the agent ended the call without a result")
	}
	return agentpb.FromStatus(err)
}

// hangUp closes the client's side, which ends the call, and lets the rest of what
// the server sent run out, so that the connection's other calls do not wait for it.
func (s *Stream) hangUp(c clientConn) {
	s.end(io.EOF)
	go func() { // a connection that is stuck holds nobody up here
		s.sending.Lock()
		s.ended = true
		c.CloseSend()
		s.sending.Unlock()
		for range s.recv {
		}
	}()
}
