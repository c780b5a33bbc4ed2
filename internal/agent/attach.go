package agent

import (
	"context"
	"sync"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/stream"
)

// session is one client attached to a container's program, over its restarts.
type session struct {
	agent  *Agent
	s      *stream.Stream
	slot   *slot
	stdin  bool
	mu     sync.Mutex
	size   *agentpb.Frame // the latest window size
	closed bool           // the client's input has ended
}

// attach gives a client's input to whatever attempt runs, until the container has
// ended for good.
func (a *Agent) attach(ctx context.Context, s *stream.Stream, req *agentpb.ExecStart) (int, error) {
	slot, err := a.slot(req.Container)
	if err != nil {
		return 0, err
	}
	if req.Stdin && !slot.spec.Stdin {
		return 0, api.Errorf(api.Conflict, "container %s has no standard input", req.Container).
			WithNext("Create the instance with stdin: true, or attach without input.")
	}
	at := &session{agent: a, s: s, slot: slot, stdin: req.Stdin}
	if req.Width > 0 {
		at.size = &agentpb.Frame{Width: uint32(req.Width), Height: uint32(req.Height)}
	}
	feeding, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		at.feed(feeding)
	}()
	code, err := at.follow(ctx)
	if ctx.Err() != nil {
		at.leave(fed)
	}
	return code, err
}

// partingTime is how long a program has to take what a client that has gone sent
// it.
const partingTime = 5 * time.Second

// follow joins each attempt as it begins to run.
func (at *session) follow(ctx context.Context) (int, error) {
	for first := true; ; first = false {
		run, over, code, err := at.agent.awaitRunning(ctx, at.slot.spec.Name)
		if err != nil || over {
			return code, err
		}
		if first {
			at.s.Send(&agentpb.Frame{Started: true})
		}
		at.join(ctx, run)
		if err := at.agent.awaitEnd(ctx, run); err != nil {
			return 0, err
		}
	}
}

// join brings a new attempt to where the session is.
func (at *session) join(ctx context.Context, run *attempt) {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.size != nil && run.spec.TTY {
		resizeProgram(ctx, run.process, run.stdio, at.size)
	}
	if at.closed && run.spec.StdinOnce {
		run.input.close()
	}
}

// leave is called when the client has gone. What it sent before that is still the
// program's.
func (at *session) leave(fed <-chan struct{}) {
	select {
	case <-fed:
	case <-time.After(partingTime):
	}
	run, err := at.agent.runningNow(at.slot.spec.Name)
	if err == nil && at.stdin && run.spec.StdinOnce {
		run.input.close()
	}
}

// feed takes what the client sends until it goes or the session ends.
func (at *session) feed(ctx context.Context) {
	for {
		f, err := at.s.Recv()
		if err != nil {
			return
		}
		if at.stdin && len(f.Data) > 0 {
			run, over, _, err := at.agent.awaitRunning(ctx, at.slot.spec.Name)
			if err == nil && !over {
				run.input.write(ctx, f.Data)
			}
		}
		at.mu.Lock()
		if f.Width > 0 {
			at.size = f
		}
		at.closed = at.closed || f.Eof && at.stdin
		at.mu.Unlock()
		if run, err := at.agent.runningNow(at.slot.spec.Name); err == nil && (f.Width > 0 || f.Eof) {
			at.join(ctx, run)
		}
	}
}

// awaitEnd returns when an attempt is not the running one any more.
func (a *Agent) awaitEnd(ctx context.Context, run *attempt) error {
	for {
		state, changed := a.board.look()
		c, _ := status(state, run.Container)
		if c.State.Running == nil || c.RestartCount != run.Attempt {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
