package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"

	"github.com/coder/websocket"

	"cis/api"
)

// WindowSize of a terminal, in characters.
type WindowSize = api.WindowSize

// Streams of an exec or attach. Stdin is read until it ends; a read under way when
// the program ends is left behind, and what it still gives is lost. Setting
// Resize asks for a terminal on attach.
type Streams = api.Streams

// Exec runs a command in a running container and returns its exit code. The
// request's Stdin is set where the streams have one.
func (c *Client) Exec(ctx context.Context, ref string, req api.ExecRequest, s Streams) (int, error) {
	q := url.Values{"command": req.Command}
	set(q, "container", req.Container)
	set(q, "workingDir", req.WorkingDir)
	set(q, "user", req.User)
	set(q, "tty", req.TTY)
	set(q, "stdin", req.Stdin || s.Stdin != nil)
	for _, v := range req.Env {
		q.Add("env", v.Name+"="+v.Value)
	}
	return c.program(ctx, instancePath(ref, "/exec"), q, s)
}

// Attach joins a container's program: its output, from the beginning of the
// attempt if replay is set, and its input. It returns the exit code once the
// container has ended for good. Ending ctx detaches; the program goes on.
func (c *Client) Attach(ctx context.Context, ref, container string, replay bool, s Streams) (int, error) {
	q := url.Values{}
	set(q, "container", container)
	set(q, "replay", replay)
	set(q, "stdin", s.Stdin != nil)
	set(q, "tty", s.Resize != nil)
	return c.program(ctx, instancePath(ref, "/attach"), q, s)
}

// program follows a program to its end.
func (c *Client) program(ctx context.Context, path string, query url.Values, s Streams) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w, err := c.dial(ctx, path, query)
	if err != nil {
		return 0, err
	}
	defer w.conn.CloseNow()
	if s.Stdin != nil {
		go w.feed(ctx, s.Stdin, cancel)
	}
	if s.Resize != nil {
		go w.resize(ctx, s.Resize)
	}
	for {
		channel, data, err := w.receive(ctx)
		if err != nil {
			return 0, err
		}
		status, err := take(&s, channel, data)
		if err != nil {
			return 0, err
		}
		switch {
		case status.Error != nil:
			return 0, w.ending(ctx, status.Error)
		case status.ExitCode != nil:
			_ = w.conn.Close(websocket.StatusNormalClosure, "")
			return *status.ExitCode, nil
		case status.Started && s.Started != nil:
			s.Started()
			s.Started = nil
		}
	}
}

// take hands a message to its writer; that of the status channel is returned.
func take(s *Streams, channel api.StreamChannel, data []byte) (status api.StreamStatus, err error) {
	switch {
	case channel == api.ChannelStatus:
		err = json.Unmarshal(data, &status)
	case channel == api.ChannelStdout && s.Stdout != nil:
		_, err = s.Stdout.Write(data)
	case channel == api.ChannelStderr && s.Stderr != nil:
		_, err = s.Stderr.Write(data)
	}
	return status, err
}

// feed sends standard input. A failing source ends the call with its error.
func (w *wire) feed(ctx context.Context, stdin io.Reader, fail context.CancelCauseFunc) {
	err := w.copyFrom(ctx, stdin)
	if err == nil {
		err = w.send(ctx, api.ChannelClose, []byte{byte(api.ChannelStdin)})
	}
	// A connection that fails is told by the side that receives.
	if source, ok := errors.AsType[*sourceError](err); ok {
		fail(source.err)
	}
}

func (w *wire) resize(ctx context.Context, sizes <-chan WindowSize) {
	for {
		select {
		case <-ctx.Done():
			return
		case size, ok := <-sizes:
			if !ok {
				return
			}
			data, err := json.Marshal(size)
			if err == nil {
				err = w.send(ctx, api.ChannelResize, data)
			}
			if err != nil {
				return
			}
		}
	}
}
