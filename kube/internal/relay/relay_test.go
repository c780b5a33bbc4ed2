package relay

import (
	"context"
	"io"
	"net"
	"testing"
)

// TestServe: both directions are carried, each to its own end, and the end of ctx ends all.
func TestServe(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	server, relayed := listen(), listen()
	defer server.Close()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				text, _ := io.ReadAll(conn)
				_, _ = conn.Write(append([]byte("got "), text...))
			}()
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, relayed, func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server.Addr().String())
		})
	}()
	open := func() *net.TCPConn {
		conn, err := net.Dial("tcp", relayed.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn.(*net.TCPConn)
	}
	conn := open()
	if _, err := conn.Write([]byte("this")); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != "got this" {
		t.Errorf("answer %q, %v", answer, err)
	}
	idle := open()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, err := idle.Read(make([]byte, 1)); err == nil {
		t.Errorf("after the end: %d bytes", n)
	}
}
