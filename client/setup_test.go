package client_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"cis/api"
	"cis/client"
	"cis/internal/server"
	"cis/internal/server/servertest"
)

// world is a server on a socket of its own, with a client and the engine behind it.
type world struct {
	*client.Client
	engine *servertest.Engine
	socket string
	// stop ends the server; done tells how Serve ended.
	stop context.CancelFunc
	done chan error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{engine: servertest.New(), socket: filepath.Join(t.TempDir(), "cis.sock"), done: make(chan error, 1)}
	listener, err := server.ListenUnix(w.socket, "")
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Config{
		Engine: w.engine, Version: "v1.2.3", Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Defaults: api.Defaults{MaxCPU: 4000, MaxMemory: 8 * api.GiB},
	})
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.done <- s.Serve(ctx, server.Listener{Listener: listener}) }()
	if w.Client, err = client.New(client.Options{Host: "unix://" + w.socket}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		stop()
		select {
		case <-w.done:
		case <-time.After(time.Minute):
			t.Error("the server does not stop")
		}
	})
	return w
}

// create makes a running instance.
func (w *world) create(t *testing.T, name string, change ...func(*api.CreateInstance)) api.Instance {
	t.Helper()
	req := api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: name, Containers: []api.Container{{Image: "busybox:1"}}}}
	for _, fn := range change {
		fn(&req)
	}
	in, err := w.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// wantCode checks the code, the field and the words of an error.
func wantCode(t *testing.T, err error, code api.Code) {
	t.Helper()
	if got := api.CodeOf(err); got != code {
		t.Errorf("got code %q of %v, want %q", got, err, code)
	}
}

// eventually waits for something that another goroutine does.
func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if fn() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
