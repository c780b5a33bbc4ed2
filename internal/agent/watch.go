package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/stream"
	"cis/internal/journal"
)

// watch shows the board to a caller, as far as that has taken what it was shown before:
// see stream.Window.
func (a *Agent) watch(ctx context.Context, s *stream.Stream, req agentpb.WatchRequest) error {
	seen := req.AfterEvent
	for {
		state, changed := a.board.look()
		state.Events = eventsAfter(state.Events, seen)
		if n := len(state.Events); n > 0 {
			seen = state.Events[n-1].Seq
		}
		text, err := json.Marshal(state)
		if err != nil {
			return err
		}
		if err := s.Send(&agentpb.Frame{Data: text}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func eventsAfter(events []agentpb.Event, seq uint64) []agentpb.Event {
	i := slices.IndexFunc(events, func(e agentpb.Event) bool { return e.Seq > seq })
	if i < 0 {
		return nil
	}
	return events[i:]
}

// logs sends an attempt's journal until it is complete.
func (a *Agent) logs(ctx context.Context, s *stream.Stream, req agentpb.LogsRequest) error {
	slot, err := a.slot(req.Container)
	if err != nil {
		return err
	}
	at := slot.find(req.Attempt)
	if at == nil {
		return api.Errorf(api.NotFound, "container %s has no output of attempt %d", req.Container, req.Attempt).
			WithNext("Only the latest two attempts are kept.")
	}
	if end := at.journal.End(); req.Offset < 0 || req.Offset > end {
		return api.Errorf(api.Invalid, "offset %d is beyond the end at %d", req.Offset, end)
	}
	err = at.journal.Follow(ctx, req.Offset, func(c journal.Chunk) error {
		return s.Send(&agentpb.Frame{Offset: c.Offset, Data: c.Data})
	})
	switch {
	case errors.Is(err, journal.ErrClosed), errors.Is(err, os.ErrClosed):
		return api.Errorf(api.NotFound, "the output of %s, attempt %d, is not kept any more", req.Container, req.Attempt)
	case err != nil:
		return fmt.Errorf("logs of %s, attempt %d: %w", req.Container, req.Attempt, err)
	}
	return nil
}

// slot finds a container's place.
func (a *Agent) slot(container string) (*slot, error) {
	sup, err := a.workload()
	if err != nil {
		return nil, err
	}
	if s := sup.slots.get(container); s != nil {
		return s, nil
	}
	return nil, api.Errorf(api.NotFound, "no container %q in this instance", container)
}

// runningNow is the attempt of a container that runs.
func (a *Agent) runningNow(container string) (*attempt, error) {
	slot, err := a.slot(container)
	if err != nil {
		return nil, err
	}
	state, _ := a.board.look()
	c, _ := status(state, container)
	if c.State.Running != nil {
		if at := slot.find(c.RestartCount); at != nil {
			return at, nil
		}
	}
	return nil, api.Errorf(api.Conflict, "container %s is not running", container)
}

// awaitRunning waits for a container to run. Over tells that it has ended for good,
// with its last exit code.
func (a *Agent) awaitRunning(ctx context.Context, container string) (at *attempt, over bool, code int, err error) {
	for {
		state, changed := a.board.look()
		c, _ := status(state, container)
		switch {
		case c.State.Running != nil:
			at, err := a.runningNow(container)
			if err == nil {
				return at, false, 0, nil
			}
		case c.State.Terminated != nil:
			return nil, true, c.State.Terminated.ExitCode, nil
		case state.Finished:
			return nil, true, 0, api.Errorf(api.Conflict, "container %s was never started", container)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false, 0, ctx.Err()
		}
	}
}
