package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"cis/api"
)

// wire is a WebSocket with channels.
type wire struct{ conn *websocket.Conn }

func (c *Client) dial(ctx context.Context, path string, query url.Values) (*wire, error) {
	conn, resp, err := websocket.Dial(ctx, c.url(path, query), &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: c.header()})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			defer resp.Body.Close()
			err := problem(resp)
			if resp.StatusCode == http.StatusServiceUnavailable {
				err = stopping(err) // nothing else stands before the operation
			}
			return nil, err
		}
		return nil, c.connectionError(ctx, err)
	}
	conn.SetReadLimit(api.MaxStreamMessage)
	return &wire{conn}, nil
}

// receive returns the next message and its channel.
func (w *wire) receive(ctx context.Context) (api.StreamChannel, []byte, error) {
	kind, data, err := w.conn.Read(ctx)
	if err != nil {
		return 0, nil, closedError(ctx, err)
	}
	if kind != websocket.MessageBinary || len(data) == 0 {
		return 0, nil, api.Errorf(api.Internal, "the server sent a message without a channel")
	}
	return api.StreamChannel(data[0]), data[1:], nil
}

// closedError explains the end of a connection before its work was done.
func closedError(ctx context.Context, err error) error {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok && closed.Code != websocket.StatusNormalClosure && ctx.Err() == nil {
		return &api.Error{Code: api.Unavailable, Message: "the server closed the connection: " + closed.Code.String(),
			Next: "see whether cisd is still running, then try again", Err: disconnected(err)}
	}
	return streamError(ctx, err)
}

// ending is the error that the server ended a program's stream with. Only one that
// goes on closes the connection in order: one that stops says so, or breaks off.
func (w *wire) ending(ctx context.Context, e *api.Error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, _, err := w.conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		return stopping(e)
	}
	return e
}

// stopping marks the words of a server that stops as the end of the connection.
func stopping(err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		e.Err = disconnected(e.Err)
	}
	return err
}

// send writes one message.
func (w *wire) send(ctx context.Context, channel api.StreamChannel, data []byte) error {
	return w.conn.Write(ctx, websocket.MessageBinary, append([]byte{byte(channel)}, data...))
}

// sourceError is an error of what was to be sent, not of the sending.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// copyFrom sends everything that r gives on the channel from client to server.
func (w *wire) copyFrom(ctx context.Context, r io.Reader) error {
	buf := make([]byte, 1+32<<10)
	buf[0] = byte(api.ChannelStdin)
	for {
		n, err := r.Read(buf[1:])
		if n > 0 {
			if err := w.conn.Write(ctx, websocket.MessageBinary, buf[:1+n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &sourceError{err}
		}
	}
}
