package agent_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/stream"
	"cis/internal/journal"
)

type chunk = journal.Chunk

// pair is two connected unix sockets, which can be closed by halves.
func pair(t *testing.T) (a, b *net.UnixConn) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "pair"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn), d.(*net.UnixConn)
}

func TestPortForward(t *testing.T) {
	r := sleeper(t)
	r.rt.Listen(80, func(c net.Conn) { // answers when it has all
		defer c.Close()
		all, _ := io.ReadAll(c)
		c.Write(bytes.ToUpper(all))
	})
	ours, theirs := pair(t)
	done := make(chan error)
	go func() { done <- r.client.PortForward(t.Context(), 80, theirs) }()
	text := bytes.Repeat([]byte("hello "), 200_000)
	go func() {
		ours.Write(text)
		ours.CloseWrite()
	}()
	got, err := io.ReadAll(ours)
	if err != nil || !bytes.Equal(got, bytes.ToUpper(text)) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPortForwardEnds(t *testing.T) {
	r := sleeper(t)
	hung := make(chan error, 1)
	r.rt.Listen(80, func(c net.Conn) {
		_, err := io.ReadAll(c)
		hung <- err
	})
	ours, theirs := pair(t)
	defer ours.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.client.PortForward(ctx, 80, theirs); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-hung // the connection inside has ended too
	for port, want := range map[uint16]api.Code{81: api.Unavailable, 0: api.Invalid} {
		ours, theirs := pair(t)
		code(t, want, r.client.PortForward(t.Context(), port, theirs))
		ours.Close()
	}
}

func TestCopy(t *testing.T) {
	r := sleeper(t)
	data := make([]byte, 3<<20)
	rand.Read(data)
	r.rt.Put("main", "/etc/big", data)
	var archive bytes.Buffer
	if err := r.client.CopyOut(t.Context(), "main", "/etc/big", &archive); err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(bytes.NewReader(archive.Bytes()))
	h, err := tr.Next()
	if err != nil || h.Name != "big" {
		t.Fatal(h, err)
	}
	if got, err := io.ReadAll(tr); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
	if err := r.client.CopyIn(t.Context(), "main", "/tmp", bytes.NewReader(archive.Bytes())); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(r.rt.Get("main", "/tmp/big"), data) {
		t.Error("what came in differs")
	}
}

func TestCopyFailures(t *testing.T) {
	r := sleeper(t)
	if err := r.client.CopyOut(t.Context(), "main", "/missing", io.Discard); err == nil {
		t.Error("copied what is not there")
	}
	code(t, api.NotFound, r.client.CopyOut(t.Context(), "other", "/", io.Discard))
	garbage := bytes.NewReader(bytes.Repeat([]byte("x"), 5<<20))
	if err := r.client.CopyIn(t.Context(), "main", "/", garbage); err == nil {
		t.Error("garbage was unpacked")
	}
	var archive bytes.Buffer
	tw := tar.NewWriter(&archive)
	tw.WriteHeader(&tar.Header{Name: "half", Size: 1000})
	tw.Write(make([]byte, 400))
	broken := errors.New("source broke")
	err := r.client.CopyIn(t.Context(), "main", "/", io.MultiReader(&archive, failingReader{broken}))
	if !errors.Is(err, broken) {
		t.Error(err)
	}
	if r.rt.Get("main", "/half") != nil {
		t.Error("half a file was kept")
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestWatchGathersChanges(t *testing.T) {
	r := newRig(t)
	var many []agentpb.Container // with more changes than a caller can have ahead of it
	for i := range stream.Window {
		many = append(many, agentpb.Container{Name: fmt.Sprintf("b%d", i), Args: []string{"exit"}})
	}
	n, last := 0, agentpb.State{}
	seen := map[uint64]bool{}
	for s, err := range r.client.Watch(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		last = s
		for _, e := range s.Events {
			if seen[e.Seq] {
				t.Errorf("event %d again", e.Seq)
			}
			seen[e.Seq] = true
		}
		if n == 1 { // a caller that is busy until everything has happened
			r.run(api.RestartNever, many...)
			other := agentclient.New(r.dial())
			for s, err := range other.Watch(t.Context(), 0) {
				if err != nil || s.Finished {
					break
				}
			}
			other.Close()
		}
		if s.Finished {
			break
		}
	}
	if n > stream.Window+2 || len(seen) < 2*len(many) {
		t.Errorf("%d states, %d events: %+v", n, len(seen), last)
	}
	latest := slices.Max(slices.Collect(maps.Keys(seen)))
	for s, err := range r.client.Watch(t.Context(), latest-1) {
		if err != nil || len(s.Events) != 1 || s.Events[0].Seq != latest {
			t.Errorf("%+v %v", s.Events, err)
		}
		break
	}
}

func TestWatchEndsWithItsContextAndItsConnection(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	var last error
	for _, last = range r.client.Watch(ctx, 0) {
	}
	if !errors.Is(last, context.DeadlineExceeded) {
		t.Error(last)
	}
	other := agentclient.New(r.dial())
	for _, last = range other.Watch(t.Context(), 0) {
		other.Close()
	}
	code(t, api.Unavailable, last)
	<-other.Done()
}
