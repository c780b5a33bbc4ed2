package agentclient

import (
	"context"
	"io"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/stream"
)

// PortForward joins conn with a port inside, until both directions have ended or
// one has failed. It closes conn.
func (c *Client) PortForward(ctx context.Context, port uint16, conn io.ReadWriteCloser) error {
	defer conn.Close()
	begin := func(s *stream.Stream) { go send(s, conn) }
	_, err := stream.Call(ctx, c.pb.PortForward, agentpb.PortRequest{Port: port}, begin,
		func(_ *stream.Stream, f *agentpb.Frame) error {
			if _, err := conn.Write(f.Data); err != nil {
				return err
			}
			if half, ok := conn.(interface{ CloseWrite() error }); ok && f.Eof {
				return half.CloseWrite()
			}
			return nil
		})
	return err
}

// CopyOut writes a tar of a path in a container to w.
func (c *Client) CopyOut(ctx context.Context, container, path string, w io.Writer) error {
	_, err := stream.Call(ctx, c.pb.CopyOut, agentpb.CopyRequest{Container: container, Path: path}, nil,
		func(_ *stream.Stream, f *agentpb.Frame) error {
			_, err := w.Write(f.Data)
			return err
		})
	return err
}

// CopyIn unpacks a tar below a path in a container. Where r fails, the call does.
func (c *Client) CopyIn(ctx context.Context, container, path string, r io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := func(s *stream.Stream) {
		go func() {
			if _, err := io.Copy(stream.Writer{Stream: s}, r); err != nil && err != io.EOF {
				cancel(err)
				return
			}
			s.Send(&agentpb.Frame{Eof: true})
		}()
	}
	_, err := stream.Call(ctx, c.pb.CopyIn, agentpb.CopyRequest{Container: container, Path: path}, begin,
		func(*stream.Stream, *agentpb.Frame) error { return nil })
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}
