package agentclient

import (
	"context"
	"io"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/stream"
)

// Exec runs a command in a running container and returns its exit code. When ctx
// ends, or a writer fails, the command is ended too; after ctx, Stdin has half a
// second to end, so that what it gave before arrives. Stdin is read until its end, or
// until the call is over; a Read that waits then is left waiting, and takes its
// goroutine along only when it returns.
func (c *Client) Exec(ctx context.Context, start agentpb.ExecStart, streams api.Streams) (int, error) {
	start.Stdin = streams.Stdin != nil
	return run(ctx, c.pb.Exec, start, streams)
}

// Attach gives input and window sizes to a container's main program, over its
// restarts, and returns the exit code once the container has ended for good. It
// waits for one that does not run yet. The output comes by Logs.
func (c *Client) Attach(ctx context.Context, container string, streams api.Streams) (int, error) {
	start := agentpb.ExecStart{Container: container, Stdin: streams.Stdin != nil}
	return run(ctx, c.pb.Attach, start, streams)
}

type opener[C any] = func(context.Context) (C, error)

func run[C interface {
	SendMsg(any) error
	RecvMsg(any) error
	CloseSend() error
}](ctx context.Context, open opener[C], start agentpb.ExecStart, streams api.Streams) (int, error) {
	calling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	sent := make(chan struct{})
	begin := func(s *stream.Stream) {
		if streams.Stdin != nil {
			go func() { defer close(sent); send(s, streams.Stdin) }()
		} else {
			close(sent)
		}
		if streams.Resize != nil {
			go resize(calling, s, streams.Resize)
		}
	}
	// What is on its way when the caller leaves still arrives.
	defer context.AfterFunc(ctx, func() {
		select {
		case <-sent:
		case <-time.After(partingTime):
		}
		cancel()
	})()
	code, err := stream.Call(calling, open, start, begin, func(_ *stream.Stream, f *agentpb.Frame) error {
		if f.Started && streams.Started != nil {
			streams.Started()
		}
		w := streams.Stdout
		if f.Stream == 2 {
			w = streams.Stderr
		}
		if w == nil || len(f.Data) == 0 {
			return nil
		}
		_, err := w.Write(f.Data)
		return err
	})
	if err != nil && ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return code, err
}

// partingTime is how long the input of a caller that leaves may take to end.
const partingTime = 3 * time.Second

// send sends input and its end.
func send(s *stream.Stream, r io.Reader) {
	if _, err := io.Copy(stream.Writer{Stream: s}, r); err == nil {
		s.Send(&agentpb.Frame{Eof: true})
	}
}

func resize(ctx context.Context, s *stream.Stream, sizes <-chan api.WindowSize) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			if s.Send(&agentpb.Frame{Width: uint32(size.Width), Height: uint32(size.Height)}) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
