package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/internal/server"
	"cis/internal/server/servertest"
)

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cis.sock")
	first, err := server.ListenUnix(path, "no-such-group")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != server.SocketMode {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if _, err := server.ListenUnix(path, ""); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server gives %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	again, err := server.ListenUnix(path, "")
	if err != nil {
		t.Fatalf("a stale socket is in the way: %v", err)
	}
	again.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.ListenUnix(path, ""); err == nil {
		t.Error("a file was replaced")
	}
}

func TestServeNeedsAuthentication(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := server.New(server.Config{Engine: servertest.New(), Log: slog.New(slog.DiscardHandler)})
	if err := s.Serve(t.Context(), server.Listener{Listener: l}); err == nil {
		t.Error("tcp is served to everyone")
	}
}

func TestSlowHeaderDoesNotHoldAConnection(t *testing.T) {
	t.Parallel() // it takes the ten seconds that a header may take
	path := filepath.Join(t.TempDir(), "cis.sock")
	l, err := server.ListenUnix(path, "")
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Config{Engine: servertest.New(), Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, server.Listener{Listener: l}) }()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\n") // and no more
	start := time.Now()
	_ = conn.SetReadDeadline(start.Add(20 * time.Second))
	_, _ = io.ReadAll(conn)
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("the connection was held for %s", took)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
