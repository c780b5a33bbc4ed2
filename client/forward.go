package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"

	"github.com/coder/websocket"

	"cis/api"
)

// PortForward joins conn with a port of an instance until both directions have
// ended, or one has failed. Where conn has a CloseWrite, as TCP connections
// have, the end of one direction leaves the other open. The caller closes conn.
func (c *Client) PortForward(ctx context.Context, ref string, port uint16, conn io.ReadWriter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q := url.Values{"port": {strconv.Itoa(int(port))}}
	w, err := c.dial(ctx, instancePath(ref, "/port-forward"), q)
	if err != nil {
		return err
	}
	defer w.conn.CloseNow()
	go w.feed(ctx, conn, cancel)
	for {
		channel, data, err := w.receive(ctx)
		if done, ok := errors.AsType[websocket.CloseError](err); ok && done.Code == websocket.StatusNormalClosure {
			return nil
		}
		if err == nil {
			err = forwarded(channel, data, conn)
		}
		if err != nil {
			return err
		}
	}
}

// forwarded handles one message from the port.
func forwarded(channel api.StreamChannel, data []byte, conn io.Writer) error {
	switch channel {
	case api.ChannelStdout:
		_, err := conn.Write(data)
		return err
	case api.ChannelClose:
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			return half.CloseWrite()
		}
	case api.ChannelStatus:
		var status api.StreamStatus
		if err := json.Unmarshal(data, &status); err != nil {
			return err
		}
		if status.Error != nil {
			return status.Error
		}
	}
	return nil
}
