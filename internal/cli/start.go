package cli

import (
	"context"
	"errors"
	"fmt"
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

// watchStart shows what a start that takes long is busy with, until ctx ends. It
// returns a startError if nothing can come of it.
func (r *runner) watchStart(ctx context.Context) error {
	select {
	case <-time.After(quietStart):
	case <-ctx.Done():
		return nil
	}
	line := newStatusLine(r.app)
	defer line.clear()
	err := r.conn.WatchEvents(ctx, client.EventOptions{Instance: r.inst.ID}, func(e api.Event) error {
		line.event(&e)
		if e.Type != api.EventWarning {
			return nil
		}
		inst, err := r.conn.Get(ctx, r.inst.ID)
		if err != nil {
			return err
		}
		if failure := startFailure(&inst, e.Message); failure != nil {
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
