package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"cis/api"
	"cis/client"
)

const (
	// rejoinTime is how long a run waits for a cisd that has gone.
	rejoinTime = 10 * time.Second
	// rejoinPause is between two attempts to join again.
	rejoinPause = 100 * time.Millisecond
	// replayMax is up to which amount of output a replay surely begins with its
	// first byte: half of the 64 MiB that are kept of it.
	replayMax = 32 << 20
	// pieceOverhead is more than keeping one piece of output takes beside its bytes.
	pieceOverhead = 32
)

// follow is attach over restarts of cisd, which the program does not notice. A
// program whose input ends with the connection is not joined again.
func (r *runner) follow(ctx context.Context, s client.Streams) (int, error) {
	if r.inst.Spec.Containers[0].StdinOnce {
		return r.conn.Attach(ctx, r.inst.ID, "", true, s)
	}
	stdout, stderr := newOutput(s.Stdout), newOutput(s.Stderr)
	s.Stdout, s.Stderr = stdout, stderr
	if s.Stdin != nil {
		s.Stdin = shareInput(ctx, s.Stdin)
	}
	var giveUp time.Time
	onStart, joined, replay := s.Started, true, true
	s.Started = func() {
		joined = true
		onStart()
		if !replay {
			r.app.printLines("cisd was away: what the program wrote meanwhile is in its logs", "cis logs "+r.inst.Spec.Name)
		}
	}
	for {
		code, err := r.join(ctx, replay, s)
		if !errors.Is(err, client.ErrDisconnected) {
			return code, err
		}
		if now := time.Now(); joined {
			joined, giveUp = false, now.Add(r.patience)
		} else if now.After(giveUp) {
			return 0, err
		}
		select {
		case <-time.After(rejoinPause):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		// A replay begins with the latest start of the program, so that only one
		// that is never restarted can go on exactly where it broke off.
		replay = r.inst.Spec.RestartPolicy == api.RestartNever && stdout.size+stderr.size <= replayMax
		if replay {
			stdout.skip, stderr.skip = stdout.written, stderr.written
		}
	}
}

// join is one connection of a run.
func (r *runner) join(ctx context.Context, replay bool, s client.Streams) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if in, ok := s.Stdin.(*sharedInput); ok {
		s.Stdin = &turn{ctx: ctx, in: in}
	}
	code, err := r.conn.Attach(ctx, r.inst.ID, "", replay, s)
	if !replay && api.CodeOf(err) == api.Conflict {
		// It has ended meanwhile: only a replay still gives the exit code.
		return r.conn.Attach(ctx, r.inst.ID, "", true, client.Streams{Started: s.Started})
	}
	return code, err
}

// output is one stream of a program. It leaves out what a replay repeats.
type output struct {
	w io.Writer
	// written bytes so far, and how many of a replay are still to be left out.
	written, skip int64
	// size is at least what keeping that output takes.
	size int64
}

func newOutput(w io.Writer) *output {
	if w == nil {
		w = io.Discard
	}
	return &output{w: w}
}

func (o *output) Write(p []byte) (int, error) {
	n := int(min(o.skip, int64(len(p))))
	o.skip -= int64(n)
	if n == len(p) {
		return n, nil
	}
	m, err := o.w.Write(p[n:])
	o.written += int64(m)
	o.size += int64(m) + pieceOverhead
	return n + m, err
}

// sharedInput lets the connections of a run read the same input in turn: a read
// that one of them leaves behind is the next one's. Nothing is read before it is
// asked for.
type sharedInput struct {
	io.Reader
	want  chan struct{}
	reads chan inputRead
}

type inputRead struct {
	data []byte
	err  error
}

func shareInput(ctx context.Context, r io.Reader) *sharedInput {
	in := &sharedInput{Reader: r, want: make(chan struct{}), reads: make(chan inputRead)}
	go in.serve(ctx)
	return in
}

func (in *sharedInput) serve(ctx context.Context) {
	for {
		select {
		case <-in.want:
		case <-ctx.Done():
			return
		}
		buf := make([]byte, 4<<10)
		n, err := in.Reader.Read(buf)
		select {
		case in.reads <- inputRead{buf[:n], err}:
		case <-ctx.Done():
			return
		}
	}
}

// turn is the shared input for as long as ctx lasts.
type turn struct {
	ctx  context.Context
	in   *sharedInput
	rest inputRead
}

func (t *turn) Read(p []byte) (int, error) {
	for len(t.rest.data) == 0 && t.rest.err == nil {
		select {
		case t.rest = <-t.in.reads:
		case t.in.want <- struct{}{}:
		case <-t.ctx.Done():
			return 0, t.ctx.Err()
		}
	}
	n := copy(p, t.rest.data)
	t.rest.data = t.rest.data[n:]
	if len(t.rest.data) == 0 {
		return n, t.rest.err
	}
	return n, nil
}
