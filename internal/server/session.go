package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"cis/api"
)

// keepAlive is how often an idle session is written to: a client that has gone
// while its input is not being read is noticed by nothing else.
const keepAlive = 15 * time.Second

// partingTime is how long the last words of a session may take.
const partingTime = 5 * time.Second

// session is one exec, attach or port-forward over a WebSocket.
type session struct {
	conn *websocket.Conn
	// ctx is what the engine works under: it ends when the client goes or the
	// server stops. wire outlives it, for the last words.
	ctx, wire context.Context
	cancel    context.CancelCauseFunc

	stdin  *io.PipeReader
	input  *io.PipeWriter
	resize chan api.WindowSize
}

// serveSession upgrades the request, runs do, and tells the client how it ended.
// A nil exit code without an error ends a session that has none.
func (s *Server) serveSession(w http.ResponseWriter, r *request, do func(*session) (*int, error)) error {
	if err := checkUpgrade(r); err != nil {
		return err
	}
	conn, err := websocket.Accept(w, r.Request, nil)
	if err != nil {
		return nil // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(api.MaxStreamMessage)

	// The request's own context may end with the hijacking, see http.Hijacker.
	ctx, stop := s.streamContext(context.WithoutCancel(r.Context()))
	defer stop()
	ss := &session{conn: conn, resize: make(chan api.WindowSize, 1)}
	ss.ctx, ss.cancel = context.WithCancelCause(ctx)
	defer ss.cancel(nil)
	wire, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	ss.wire = wire
	ss.stdin, ss.input = io.Pipe()
	defer ss.stdin.Close()
	defer context.AfterFunc(ss.ctx, func() {
		// Whoever passes input on need not wait for more.
		ss.input.CloseWithError(io.ErrUnexpectedEOF)
		time.AfterFunc(partingTime, hangUp)
	})()

	go ss.read()
	go ss.keepAlive()
	code, err := do(ss)
	status := api.StreamStatus{ExitCode: code}
	if err != nil {
		status.Error = s.logged(ss.ctx, err)
	}
	ss.part(status)
	return nil
}

// checkUpgrade gives our own words to those who come without a WebSocket.
func checkUpgrade(r *request) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		e := api.Errorf(api.Invalid, "this operation needs a WebSocket").WithNext("connect with a WebSocket client, such as cis itself")
		return &statusError{http.StatusUpgradeRequired, e}
	}
	return nil
}

// read takes in the client's messages until it goes.
func (ss *session) read() {
	for {
		kind, data, err := ss.conn.Read(ss.wire)
		if err == nil && (kind != websocket.MessageBinary || len(data) == 0) {
			err = errors.New("messages must be binary and begin with their channel")
			go ss.conn.Close(websocket.StatusUnsupportedData, err.Error())
		}
		if err != nil {
			ss.cancel(err)
			return
		}
		ss.take(api.StreamChannel(data[0]), data[1:])
	}
}

// take handles one message. Channels it does not know are for newer servers.
func (ss *session) take(channel api.StreamChannel, data []byte) {
	switch channel {
	case api.ChannelStdin:
		_, _ = ss.input.Write(data) // a program may close its input
	case api.ChannelClose:
		if bytes.Equal(data, []byte{byte(api.ChannelStdin)}) {
			_ = ss.input.Close()
		}
	case api.ChannelResize:
		var size api.WindowSize
		if json.Unmarshal(data, &size) != nil || size.Width == 0 || size.Height == 0 {
			return
		}
		select { // only the latest size matters
		case <-ss.resize:
		default:
		}
		ss.resize <- size
	}
}

// send writes one message.
func (ss *session) send(channel api.StreamChannel, data []byte) error {
	// In one write: a message begun and not ended would bar all later ones.
	message := append(append(make([]byte, 0, 1+len(data)), byte(channel)), data...)
	return ss.conn.Write(ss.wire, websocket.MessageBinary, message)
}

func (ss *session) sendStatus(status api.StreamStatus) error {
	data, err := json.Marshal(status)
	if err != nil {
		return err
	}
	return ss.send(api.ChannelStatus, data)
}

func (ss *session) keepAlive() {
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-ss.ctx.Done():
			return
		case <-tick.C:
			if err := ss.sendStatus(api.StreamStatus{}); err != nil {
				ss.cancel(err)
				return
			}
		}
	}
}

// part says how the session ended, and closes it.
func (ss *session) part(status api.StreamStatus) {
	closing := websocket.StatusNormalClosure
	if status.Error == errShutdown {
		closing = websocket.StatusGoingAway
	}
	if status != (api.StreamStatus{}) {
		_ = ss.sendStatus(status)
	}
	// What still comes in is not wanted any more.
	_ = ss.stdin.Close()
	_ = ss.conn.Close(closing, "")
}

// channel is one direction of a session, as a writer.
type channel struct {
	session *session
	number  api.StreamChannel
}

// pieceSize keeps messages well below their limit.
const pieceSize = 32 << 10

func (c channel) Write(p []byte) (int, error) {
	for written := 0; written < len(p); {
		piece := p[written:min(len(p), written+pieceSize)]
		if err := c.session.send(c.number, piece); err != nil {
			c.session.cancel(err) // the client has gone, which is no fault of ours
			return written, err
		}
		written += len(piece)
	}
	return len(p), nil
}
