package server

import (
	"net/http"

	"cis/api"
)

func (s *Server) forwardPort(w http.ResponseWriter, r *request) error {
	port := uint16(arg[int64](r.query, "port"))
	return s.serveSession(w, r, func(ss *session) (*int, error) {
		t := &tunnel{channel: channel{ss, api.ChannelStdout}}
		return nil, s.Engine.PortForward(ss.ctx, r.ref(), port, t)
	})
}

// tunnel is the client's end of a port-forward, as a connection. The engine may
// also close its writing half.
type tunnel struct{ channel }

// Read gives what the client sends, and io.EOF when it has closed its half.
func (t *tunnel) Read(p []byte) (int, error) { return t.session.stdin.Read(p) }

// CloseWrite tells the client that no more comes.
func (t *tunnel) CloseWrite() error {
	return t.session.send(api.ChannelClose, []byte{byte(api.ChannelStdout)})
}

// Close ends both halves.
func (t *tunnel) Close() error {
	t.session.cancel(nil)
	return t.session.stdin.Close()
}
