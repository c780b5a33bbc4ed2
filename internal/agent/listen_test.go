package agent_test

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"testing"

	"cis/api"
	"cis/internal/agent"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime/runtimetest"
)

// once is a listener with one connection, as a VM's serial port is.
type once struct {
	conn   chan net.Conn
	closed chan struct{}
	close  func()
}

func (o once) Accept() (net.Conn, error) {
	select {
	case c := <-o.conn:
		return c, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}
func (o once) Close() error   { o.close(); return nil }
func (o once) Addr() net.Addr { return &net.UnixAddr{} }

// rude fails reads with an error of its own when the connection ends.
type rude struct{ net.Conn }

func (r rude) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if err != nil {
		err = errors.New("the port was unplugged")
	}
	return n, err
}

// Many calls share one plain byte stream, and end with it.
func TestOneByteStream(t *testing.T) {
	ours, theirs := net.Pipe()
	o := once{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	o.close = sync.OnceFunc(func() { close(o.closed) })
	o.conn <- rude{theirs}
	rt := runtimetest.New()
	a := agent.New(t.Context(), rt, agent.Options{StateDir: t.TempDir()})
	go a.Serve(o)
	r := &rig{T: t, rt: rt, client: agentclient.New(ours)}
	r.run(api.RestartNever, container("sleep"))
	r.until("running", running)
	hung := make(chan error)
	go func() {
		_, err := r.client.Exec(t.Context(), command("stubborn"), api.Streams{})
		hung <- err
	}()
	for range 3 {
		var out bytes.Buffer
		code, err := r.client.Exec(t.Context(), agentpb.ExecStart{Container: "main", Args: []string{"flood", "3000000"}}, api.Streams{Stdout: &out})
		if code != 0 || err != nil || out.Len() != 3000000 {
			t.Errorf("%d %v: %d bytes", code, err, out.Len())
		}
	}
	ours.Close()
	code(t, api.Unavailable, <-hung)
	r.alone()
}
