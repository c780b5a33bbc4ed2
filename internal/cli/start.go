package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cis/api"
	"cis/client"
)

// quietStart is how long a start may take before it is worth a word. Most starts
// never ask for their events.
const quietStart = 200 * time.Millisecond

// startError is a start of which nothing can come any more.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// starting is a program that is not up yet.
type starting struct {
	app  *app
	conn *client.Client
	// instance is the ID of the program's.
	instance string
	// container it is in, if events of others do not matter.
	container string
	// containers are those whose failure is the start's.
	containers func(*api.InstanceStatus) []api.ContainerStatus
}

// join joins the program by a call, and shows meanwhile what a start that takes long is
// busy with. It gives up when the start fails for good.
func (p starting) join(ctx context.Context, s client.Streams, call func(context.Context, client.Streams) (int, error)) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching, startDone := context.WithCancel(ctx)
	progress := make(chan struct{})
	go func() {
		defer close(progress)
		if err := p.watch(watching); err != nil {
			cancel(err)
		}
	}()
	// The line about the start is gone before the program's first.
	begin := sync.OnceFunc(func() { startDone(); <-progress })
	defer begin()
	onStart := s.Started
	s.Started = func() {
		begin()
		if onStart != nil {
			onStart()
		}
	}
	s.Stdout, s.Stderr = after(begin, s.Stdout), after(begin, s.Stderr)
	code, err := call(ctx, s)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return code, err
}

// watch shows what the start is busy with, until ctx ends. It returns a startError if
// nothing can come of it.
func (p starting) watch(ctx context.Context) error {
	select {
	case <-time.After(quietStart):
	case <-ctx.Done():
		return nil
	}
	line := newStatusLine(p.app)
	defer line.clear()
	err := p.conn.WatchEvents(ctx, client.EventOptions{Instance: p.instance}, func(e api.Event) error {
		if p.container != "" && e.Container != p.container {
			return nil
		}
		line.event(&e)
		if e.Type != api.EventWarning {
			return nil
		}
		inst, err := p.conn.Get(ctx, p.instance)
		if err != nil {
			return err
		}
		if failure := startFailure(p.containers(&inst.Status), e.Message); failure != nil {
			return &startError{failure}
		}
		return nil
	})
	var failed *startError
	if errors.As(err, &failed) {
		return failed
	}
	return nil // what else goes wrong with the events, attach will tell
}

// statusLine is the one line about a start: redrawn on a terminal, else one line
// for each step of a pull.
type statusLine struct {
	app     *app
	live    bool
	shown   bool
	pulling bool
}

func newStatusLine(a *app) *statusLine {
	return &statusLine{app: a, live: isTerminal(a.Err)}
}

func (l *statusLine) event(e *api.Event) {
	text := clean(firstOf(e.Message, e.Reason))
	if l.live {
		fmt.Fprintf(l.app.Err, "\r\x1b[K%s", l.app.palette(l.app.Err).paint(faint, e.Reason+": "+text))
		l.shown = true
		return
	}
	// An image that was there is not worth a line in a log.
	if e.Reason == "Pulling" {
		l.pulling = true
	}
	if l.pulling && (e.Reason == "Pulling" || e.Reason == "Pulled") {
		fmt.Fprintf(l.app.Err, "cis: %s\n", text)
	}
}

// clear takes the line away before the program writes.
func (l *statusLine) clear() {
	if l.shown {
		fmt.Fprint(l.app.Err, "\r\x1b[K")
		l.shown = false
	}
}
