package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"cis/api"
	"cis/client"
)

// session joins the streams of cis with those of one program: run, exec, attach.
type session struct {
	ctx     context.Context
	streams client.Streams
	// detached is set by the detach keys, which also end ctx.
	detached bool
	close    func()
}

// checkTTY refuses a terminal for a program whose input is none.
func (a *app) checkTTY(stdin, tty bool) error {
	if stdin && tty && !isTerminal(a.In) {
		return api.Errorf(api.Invalid, "standard input is not a terminal, as -t asks for").
			WithNext("leave out -t")
	}
	return nil
}

// open prepares a session and, for an interactive terminal, sets raw mode until
// close. The detach keys work where detachable.
func (a *app) open(ctx context.Context, stdin, tty, detachable bool) (*session, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{ctx: ctx, close: cancel}
	s.streams = client.Streams{Stdout: a.Out, Stderr: a.Err}
	if stdin {
		s.streams.Stdin = a.In
	}
	if !tty {
		return s, nil
	}
	s.streams.Resize = a.windowSizes(ctx)
	if !stdin {
		return s, nil
	}
	if detachable {
		s.streams.Stdin = &detachReader{ctx: ctx, r: a.In, detach: func() { s.detached = true; cancel() }}
	}
	restore, err := a.rawMode()
	if err != nil {
		cancel()
		return nil, err
	}
	s.close = func() { restore(); cancel() }
	return s, nil
}

// exitInterrupted is what shells give for a program that Ctrl-C ended.
const exitInterrupted = 128 + int(syscall.SIGINT)

// interruptible ends a session on a signal in order, so that the terminal is put
// back and the server is told.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

// sessionEnd is how an exec or attach under an interruptible context ends.
func sessionEnd(ctx context.Context, code int, err error) error {
	switch {
	case err == nil:
		return exitWith(code, nil)
	case ctx.Err() != nil:
		return exitWith(exitInterrupted, nil)
	}
	return err
}

// lost adds to an error that ended a session what it means for the program: it
// goes on without us.
func lost(err error, name string) error {
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.Unavailable {
		return err
	}
	return &api.Error{Code: e.Code, Message: e.Message, Err: err,
		Next: fmt.Sprintf("%s may still run: look with 'cis ps -a', join it again with 'cis attach %s'", name, name)}
}

// after calls begin before the first write to w; nil stays nil.
func after(begin func(), w io.Writer) io.Writer {
	if w == nil {
		return nil
	}
	return &afterWriter{begin, w}
}

type afterWriter struct {
	begin func()
	w     io.Writer
}

func (a *afterWriter) Write(p []byte) (int, error) {
	a.begin()
	return a.w.Write(p)
}

// headWriter keeps the beginning of what is written to it.
type headWriter struct{ head []byte }

// headSize is enough for a line of complaint.
const headSize = 4 << 10

func (h *headWriter) Write(p []byte) (int, error) {
	h.head = append(h.head, p[:min(len(p), headSize-len(h.head))]...)
	return len(p), nil
}

// fromCis tells the server's words about a program that cannot be run from the
// program's own.
func (h *headWriter) fromCis() bool { return bytes.HasPrefix(h.head, []byte("cis: ")) }

func (h *headWriter) text() string {
	return strings.TrimSpace(strings.TrimPrefix(string(h.head), "cis: "))
}
