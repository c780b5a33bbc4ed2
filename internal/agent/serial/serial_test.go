package serial

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// wire joins a host that comes and goes with a guest, as QEMU's port does: the guest
// reads nothing while the host is away, and what it writes then waits.
type wire struct {
	toGuest chan []byte
	toHost  chan []byte
	closed  chan struct{}
	rest    []byte
}

func newWire() *wire {
	return &wire{toGuest: make(chan []byte, 100), toHost: make(chan []byte, 100), closed: make(chan struct{})}
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		select {
		case w.rest = <-w.toGuest:
		case <-w.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil // an empty message: the host has gone
}

func (w *wire) Write(p []byte) (int, error) {
	select {
	case w.toHost <- bytes.Clone(p):
		return len(p), nil
	case <-w.closed:
		return 0, net.ErrClosed
	}
}

func (w *wire) Close() error { close(w.closed); return nil }

// host gives the host a port for one connection. When that has ended, nothing is taken from
// the guest any more, and then the guest is told.
func (w *wire) host() net.Conn {
	ours, theirs := net.Pipe()
	gone, silent := make(chan struct{}), make(chan struct{})
	go func() {
		buf := make([]byte, 1000)
		for {
			n, err := theirs.Read(buf)
			if err != nil {
				close(gone)
				<-silent
				w.toGuest <- nil
				theirs.Close()
				return
			}
			w.toGuest <- bytes.Clone(buf[:n])
		}
	}()
	go func() {
		defer close(silent)
		for {
			select {
			case data := <-w.toHost:
				if _, err := theirs.Write(data); err != nil {
					return
				}
			case <-gone:
				return
			}
		}
	}()
	return ours
}

func connected(t *testing.T, w *wire, l net.Listener) (host, guest net.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	host, err := Connect(ctx, w.host())
	if err != nil {
		t.Fatal(err)
	}
	guest, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return host, guest
}

func pass(t *testing.T, from, to net.Conn, data []byte) {
	t.Helper()
	go from.Write(data)
	got := make([]byte, len(data))
	if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("of %d bytes came %.20q, %v", len(data), got, err)
	}
}

// Any bytes pass both ways, over one connection after another.
func TestConnections(t *testing.T) {
	w := newWire()
	l := Listen(w)
	defer l.Close()
	random := rand.NewChaCha8([32]byte{})
	for range 5 {
		host, guest := connected(t, w, l)
		for range 20 {
			data := make([]byte, 1+rand.IntN(5000))
			random.Read(data)
			for range 10 {
				data[rand.IntN(len(data))] = escape
			}
			pass(t, host, guest, data)
			pass(t, guest, host, data)
		}
		host.Close()
		if _, err := guest.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the host has gone: %v", err)
		}
	}
}

// What is left of a connection, a mark cut in two too, is not the next one's.
func TestLeftovers(t *testing.T) {
	w := newWire()
	l := Listen(w)
	defer l.Close()
	host, guest := connected(t, w, l)
	guest.Write([]byte("late answer"))
	w.toHost <- appendMark(nil, "0123456789abcdef")
	host.Write([]byte("cut"))
	host.Close()
	if _, err := io.ReadAll(guest); err != nil {
		t.Error(err)
	}
	if _, err := guest.Write([]byte("x")); err == nil {
		t.Error("a dead connection takes output")
	}
	host, guest = connected(t, w, l)
	pass(t, guest, host, []byte("answer"))
	pass(t, host, guest, []byte("question"))
}

func TestConnectEndsWithTheCaller(t *testing.T) {
	w := newWire()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Connect(ctx, w.host()); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestListenerCloses(t *testing.T) {
	w := newWire()
	l := Listen(w)
	_, guest := connected(t, w, l)
	l.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("accepted")
	}
	if _, err := guest.Read(make([]byte, 1)); err == nil {
		t.Error("read")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add(appendMark([]byte{escape}, "0123456789abcdef"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newReader(bytes.NewReader(appendEscaped(nil, data)))
		var got []byte
		for {
			part, err := r.next()
			if err != nil {
				break
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("%q became %q", data, got)
		}
		for r := newReader(bytes.NewReader(data)); ; { // anything else ends
			if _, err := r.next(); err != nil {
				if _, ok := errors.AsType[*begun](err); !ok {
					return
				}
			}
		}
	})
}
