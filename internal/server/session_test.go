package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"cis/api"
)

// Output that nobody takes is known to be lost at once: what comes of it is not logged
// as a fault of the server.
func TestWriteToNobodyEndsTheSession(t *testing.T) {
	conns := make(chan *websocket.Conn, 1)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		conns <- conn
	}))
	defer ts.Close()
	client, _, err := websocket.Dial(t.Context(), ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseNow()
	ss := &session{conn: <-conns, wire: t.Context()}
	ss.ctx, ss.cancel = context.WithCancelCause(t.Context())
	ss.conn.CloseNow()
	if _, err := (channel{ss, api.ChannelStdout}).Write([]byte("lost")); err == nil || ss.ctx.Err() == nil {
		t.Errorf("the write ended with %v, the session with %v", err, ss.ctx.Err())
	}
}
