package cli

import (
	"context"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"cis/client"
)

// fd gives the descriptor behind a stream that is a terminal.
func fd(stream any) (int, bool) {
	f, ok := stream.(interface{ Fd() uintptr })
	if !ok {
		return 0, false
	}
	n := int(f.Fd())
	return n, term.IsTerminal(n)
}

func isTerminal(stream any) bool {
	_, ok := fd(stream)
	return ok
}

// rawMode hands every key on stdin to the program. The result puts the terminal back.
func (a *app) rawMode() (restore func(), err error) {
	n, ok := fd(a.In)
	if !ok {
		return func() {}, nil
	}
	state, err := term.MakeRaw(n)
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(n, state) }, nil
}

// windowSizes sends the size of the terminal now and after every change, until
// ctx ends. Nil when there is none.
func (a *app) windowSizes(ctx context.Context) <-chan client.WindowSize {
	n, ok := fd(a.Out)
	if !ok {
		if n, ok = fd(a.In); !ok {
			return nil
		}
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	sizes := make(chan client.WindowSize, 1)
	go func() {
		defer signal.Stop(changed)
		for {
			if w, h, err := term.GetSize(n); err == nil && w > 0 && h > 0 {
				select {
				case sizes <- client.WindowSize{Width: uint16(min(w, 65535)), Height: uint16(min(h, 65535))}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

// The keys that leave a program running: ctrl-p ctrl-q, as with docker.
const (
	detachFirst  = 'p' & 0x1f
	detachSecond = 'q' & 0x1f
)

// detachReader passes input on until it sees the detach keys. Then it calls
// detach once, and from then on waits for ctx: an end of file here would close
// the program's input.
type detachReader struct {
	ctx    context.Context
	r      io.Reader
	detach func()
	held   bool // the first key was read and not passed on yet
	found  bool // the keys were read; what came before them may be on its way
}

func (d *detachReader) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	for !d.found {
		// The first byte is left free for a held key.
		n, err := d.r.Read(p[1:])
		out := d.filter(p[:0], p[1:1+n])
		if err != nil && d.held {
			d.held = false
			out = append(out, detachFirst)
		}
		if len(out) > 0 {
			return len(out), nil
		}
		if err != nil && !d.found {
			return 0, err
		}
	}
	d.detach()
	<-d.ctx.Done()
	return 0, d.ctx.Err()
}

// filter appends in to out up to the detach keys; out may be the memory one byte
// before in.
func (d *detachReader) filter(out, in []byte) []byte {
	for _, c := range in {
		if d.held {
			d.held = false
			if c == detachSecond {
				d.found = true
				return out
			}
			out = append(out, detachFirst)
		}
		if c == detachFirst {
			d.held = true
			continue
		}
		out = append(out, c)
	}
	return out
}
