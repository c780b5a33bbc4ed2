package stream

import (
	"context"

	"cis/internal/agent/agentpb"
)

// Serve runs a call on the server's side. Its context ends when the client goes.
// The result becomes the last frame; Serve returns when the client has seen it.
func Serve(ctx context.Context, c conn, call func(ctx context.Context, s *Stream) (exitCode int, err error)) error {
	s := newStream(ctx, c)
	code, err := call(s.over, s)
	// An error of the ttrpc call itself would leave the stream in the client's
	// tables, so it travels in the frame.
	if err := s.put(&agentpb.Frame{End: true, ExitCode: int32(code), Error: agentpb.ToError(err)}); err != nil {
		return nil // the connection is gone
	}
	for range s.recv { // until the client hangs up or its connection breaks
	}
	return nil
}
