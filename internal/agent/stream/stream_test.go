package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"

	"github.com/containerd/ttrpc"
)

// service answers Exec with one function; the rest is not there.
type service struct {
	agentpb.AgentService
	call func(ctx context.Context, s *Stream) (int, error)
}

func (v service) Exec(ctx context.Context, c agentpb.Agent_ExecServer) error {
	return Serve(ctx, c, v.call)
}

func (v service) Stats(context.Context, *agentpb.StatsRequest) (*agentpb.StatsResponse, error) {
	return &agentpb.StatsResponse{Pids: 7}, nil
}

// dial serves a call on a unix socket.
func dial(t *testing.T, call func(ctx context.Context, s *Stream) (int, error)) (agentpb.AgentClient, net.Conn) {
	t.Helper()
	srv, err := ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	agentpb.RegisterAgentService(srv, service{call: call})
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(t.Context(), l)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	client := ttrpc.NewClient(c)
	t.Cleanup(func() { client.Close(); srv.Close() })
	agent := agentpb.NewAgentClient(client)
	if _, err := agent.Stats(t.Context(), &agentpb.StatsRequest{}); err != nil {
		t.Fatal(err)
	}
	return agent, c
}

func none(*Stream, *agentpb.Frame) error { return nil }

func TestEcho(t *testing.T) {
	client, _ := dial(t, func(ctx context.Context, s *Stream) (int, error) {
		var req agentpb.ExecStart
		if err := s.Request(&req); err != nil {
			return 0, err
		}
		for {
			f, err := s.Recv()
			if err != nil || f.Eof {
				return len(req.Args), err
			}
			if err := s.Send(&agentpb.Frame{Data: f.Data}); err != nil {
				return 0, err
			}
		}
	})
	const n = 500
	got := 0
	code, err := Call(t.Context(), client.Exec, agentpb.ExecStart{Args: []string{"a", "b"}},
		func(s *Stream) {
			go func() {
				for range n {
					s.Send(&agentpb.Frame{Data: make([]byte, 1000)})
				}
				s.Send(&agentpb.Frame{Eof: true})
			}()
		}, func(_ *Stream, f *agentpb.Frame) error {
			got += len(f.Data)
			return nil
		})
	if code != 2 || err != nil || got != n*1000 {
		t.Errorf("exit %d, %d bytes: %v", code, got, err)
	}
}

func TestErrorKeepsItsParts(t *testing.T) {
	want := &api.Error{Code: api.Conflict, Message: "no", Field: "f", Next: "try"}
	client, _ := dial(t, func(context.Context, *Stream) (int, error) { return 0, want })
	_, err := Call(t.Context(), client.Exec, 0, nil, none)
	got, ok := errors.AsType[*api.Error](err)
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%#v", err)
	}
}

// A reader that does not read stops its own call after a window, for longer than
// ttrpc would bear, and the connection's other calls go on.
func TestSlowReaderHoldsUpItsOwnCallOnly(t *testing.T) {
	var sent atomic.Int32
	const n = 200
	client, _ := dial(t, func(_ context.Context, s *Stream) (int, error) {
		for range n {
			if err := s.Send(&agentpb.Frame{Data: make([]byte, 32<<10)}); err != nil {
				return 0, err
			}
			sent.Add(1)
		}
		return 5, nil
	})
	got := 0
	code, err := Call(t.Context(), client.Exec, 0, nil, func(*Stream, *agentpb.Frame) error {
		if got++; got == 1 {
			time.Sleep(1500 * time.Millisecond)
			if s := sent.Load(); s > Window+1 {
				t.Errorf("%d frames were sent ahead", s)
			}
			r, err := client.Stats(t.Context(), &agentpb.StatsRequest{})
			if err != nil || r.Pids != 7 {
				t.Error(err)
			}
		}
		return nil
	})
	if code != 5 || err != nil || got != n {
		t.Errorf("exit %d after %d frames: %v", code, got, err)
	}
}

func TestServerThatDoesNotRead(t *testing.T) {
	var sent atomic.Int32
	client, _ := dial(t, func(ctx context.Context, s *Stream) (int, error) {
		time.Sleep(1200 * time.Millisecond)
		return 3, nil
	})
	done := make(chan error)
	code, err := Call(t.Context(), client.Exec, 0, func(s *Stream) {
		go func() {
			for {
				if err := s.Send(&agentpb.Frame{Data: make([]byte, 1000)}); err != nil {
					done <- err
					return
				}
				sent.Add(1)
			}
		}()
	}, none)
	if code != 3 || err != nil {
		t.Error(code, err)
	}
	if err := <-done; err != io.EOF {
		t.Error(err)
	}
	if s := sent.Load(); s > Window {
		t.Errorf("%d frames were sent ahead", s)
	}
}

func TestCancelEndsBothSides(t *testing.T) {
	ended := make(chan error)
	client, _ := dial(t, func(ctx context.Context, s *Stream) (int, error) {
		s.Send(&agentpb.Frame{Started: true})
		<-ctx.Done()
		ended <- s.Send(&agentpb.Frame{})
		return 0, ctx.Err()
	})
	before := runtime.NumGoroutine()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Call(ctx, client.Exec, 0, nil, func(*Stream, *agentpb.Frame) error {
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-ended; err != io.EOF {
			t.Error(err)
		}
	}
	settles(t, before)
}

func TestFailingReaderEndsTheCall(t *testing.T) {
	ended := make(chan struct{})
	client, _ := dial(t, func(ctx context.Context, s *Stream) (int, error) {
		defer close(ended)
		for s.Send(&agentpb.Frame{Data: make([]byte, 1000)}) == nil {
		}
		return 0, nil
	})
	before := runtime.NumGoroutine()
	full := errors.New("disk full")
	if _, err := Call(t.Context(), client.Exec, 0, nil, func(*Stream, *agentpb.Frame) error { return full }); err != full {
		t.Error(err)
	}
	<-ended
	settles(t, before)
}

func TestBrokenConnection(t *testing.T) {
	ended := make(chan struct{})
	client, conn := dial(t, func(ctx context.Context, s *Stream) (int, error) {
		defer close(ended)
		s.Send(&agentpb.Frame{Started: true})
		<-ctx.Done()
		return 0, nil
	})
	_, err := Call(t.Context(), client.Exec, 0, nil, func(*Stream, *agentpb.Frame) error {
		return conn.Close()
	})
	if api.CodeOf(err) != api.Unavailable {
		t.Error(err)
	}
	<-ended
	if _, err := Call(t.Context(), client.Exec, 0, nil, none); api.CodeOf(err) != api.Unavailable {
		t.Error(err)
	}
}

// settles waits for the goroutines of ended calls to go.
func settles(t *testing.T, want int) {
	t.Helper()
	for range 6000 {
		if runtime.NumGoroutine() <= want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, not %d", runtime.NumGoroutine(), want)
}
