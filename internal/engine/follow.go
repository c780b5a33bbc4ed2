package engine

import (
	"context"
	"errors"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/store"
)

// drainLimit is how long the end of an instance waits for the last of its output.
const drainLimit = 5 * time.Second

// follow watches the agent until its workload has finished or is lost.
func (l *life) follow(ctx context.Context) error {
	for {
		if l.stopping() {
			l.askStop()
		}
		rec, _ := l.snapshot()
		last, err := l.watch(ctx, rec.Run.AgentEvent)
		l.seen = time.Now().UTC()
		switch {
		case last.Finished:
			return l.finished(ctx, last)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		l.e.log.Warn("the agent's connection ended", "instance", l.id, "sandbox", l.sandbox.ID, "error", err)
		l.sandbox.hangUp()
		if err := l.redial(ctx); err != nil {
			return err
		}
		l.setClient(l.sandbox.client)
	}
}

// redial connects to the agent again. Only an agent that is gone is a loss; any
// other failure to connect is ours, and tried again.
func (l *life) redial(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := l.e.dial(ctx, l.sandbox)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case api.CodeOf(err) == api.NotFound:
			return &lostError{api.ReasonSandboxLost, lostMessage(err)}
		}
		l.e.log.Error("an agent cannot be connected to", "instance", l.id, "error", err, "again in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// lostMessage is what the machine knows of a sandbox's end.
func lostMessage(err error) string {
	var failure *api.Error
	if errors.As(err, &failure) && failure.Message != "" {
		return failure.Message
	}
	return err.Error()
}

// watch takes over every state until the workload has finished or the connection
// ends; it returns the last one.
func (l *life) watch(ctx context.Context, after uint64) (last agentpb.State, err error) {
	for s, err := range l.sandbox.client.Watch(ctx, after) {
		if err != nil {
			return last, err
		}
		last = s
		l.e.pool.hold(l.issued)
		l.apply(s)
		if s.Finished {
			break
		}
	}
	return last, nil
}

// finished takes the last of the output and turns the agent's last state into
// the end of the run.
func (l *life) finished(ctx context.Context, s agentpb.State) error {
	drain, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	if err := l.logs.drain(drain); err != nil {
		l.e.log.Warn("the end of the output is lost", "instance", l.id, "error", err)
	}
	if s.SandboxLost && (s.Reason == api.ReasonOOMKilled || s.Reason == api.ReasonSandboxLost) {
		return &lostError{s.Reason, s.Message}
	}
	if s.Reason != "" {
		l.set(func(in *store.Instance) {
			if in.Run.StopReason == "" {
				in.Run.StopReason, in.Run.StopMessage = s.Reason, s.Message
			}
		})
	}
	return nil
}

// apply takes over what the agent says, of containers that are on record: in a VM
// that was taken over it may say anything, and names become paths.
func (l *life) apply(s agentpb.State) {
	rec, _ := l.snapshot()
	for _, e := range s.Events {
		l.eventAt(e.Time, e.Type, e.Container, e.Reason, e.Message)
	}
	for _, statuses := range [][]agentpb.ContainerStatus{s.InitContainers, s.Containers, s.EphemeralContainers} {
		for _, c := range statuses {
			if hasContainer(rec, c.Name) {
				l.logs.follow(l.e.ctx, l.sandbox.client, c)
			}
		}
	}
	l.set(func(in *store.Instance) {
		st := &in.Status
		st.InitContainerStatuses = merge(st.InitContainerStatuses, s.InitContainers)
		st.ContainerStatuses = merge(st.ContainerStatuses, s.Containers)
		st.EphemeralContainerStatuses = merge(st.EphemeralContainerStatuses, s.EphemeralContainers)
		st.Ready = !s.Finished && len(s.Containers) > 0
		for _, c := range s.InitContainers {
			st.Ready = st.Ready && (c.Ready || !in.Spec.IsSidecar(c.Name))
		}
		for _, c := range s.Containers {
			st.Ready = st.Ready && c.Ready
			if !startedAt(c).IsZero() {
				st.Phase, st.Reason, st.Message = api.PhaseRunning, "", ""
			}
		}
		if n := len(s.Events); n > 0 {
			in.Run.AgentEvent = s.Events[n-1].Seq
		}
		l.time(in, s)
	})
}

func hasContainer(in store.Instance, name string) bool {
	return name != "" && status(in, name) != nil
}

// merge takes the agent's states over into the record's statuses.
func merge(have []api.ContainerStatus, news []agentpb.ContainerStatus) []api.ContainerStatus {
	next := append([]api.ContainerStatus(nil), have...)
	for i := range next {
		for _, n := range news {
			if n.Name == next[i].Name {
				next[i].State, next[i].LastState = n.State, n.LastState
				next[i].Ready, next[i].Started, next[i].RestartCount = n.Ready, n.Started, n.RestartCount
				next[i].User = n.User
			}
		}
	}
	return next
}

// time notes when the first program started and first wrote something.
func (l *life) time(in *store.Instance, s agentpb.State) {
	first := firstStarted(s)
	if first == nil {
		return
	}
	began := l.plausible(firstStart(first, s.Events))
	in.Run.Clock = l.metered(in, began, s)
	t := &in.Status.Timings
	if in.Status.StartedAt == nil {
		in.Status.StartedAt = &began
		if !l.issued.IsZero() {
			t.Container = ms(began.Sub(l.issued))
			t.Total = ms(began.Sub(l.arrived))
		}
	}
	if t.FirstOutput == 0 && first.RestartCount == 0 && !first.FirstOutput.IsZero() {
		// A quick program may have written before its start was noted.
		t.FirstOutput = ms(max(first.FirstOutput.Sub(began), time.Microsecond))
	}
}

// firstStart is when a container started first: it may have been restarted since.
func firstStart(c *agentpb.ContainerStatus, events []agentpb.Event) time.Time {
	began := startedAt(*c)
	for _, e := range events {
		if e.Reason == "Started" && e.Time.Before(began) {
			began = e.Time
		}
	}
	return began
}

// firstStarted is the first container, in the order they run, that has started.
func firstStarted(s agentpb.State) *agentpb.ContainerStatus {
	for _, statuses := range [][]agentpb.ContainerStatus{s.InitContainers, s.Containers} {
		for i := range statuses {
			if !startedAt(statuses[i]).IsZero() {
				return &statuses[i]
			}
		}
	}
	return nil
}

// startedAt is when a container's program started; of one that waits to be started again,
// the one before, which may have ended before anybody looked.
func startedAt(c agentpb.ContainerStatus) time.Time {
	if at := startOf(c.State); !at.IsZero() {
		return at
	}
	return startOf(c.LastState)
}

func startOf(s api.ContainerState) time.Time {
	switch {
	case s.Running != nil:
		return s.Running.StartedAt
	case s.Terminated != nil:
		return s.Terminated.StartedAt
	}
	return time.Time{}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// askStop passes a stop that was asked for on to the agent.
func (l *life) askStop() {
	l.mu.Lock()
	client, run := l.client, l.rec.Run
	l.mu.Unlock()
	if client == nil || run.StopBy == nil {
		return
	}
	wait := max(0, time.Until(*run.StopBy))
	if err := client.Stop(l.e.ctx, wait, run.StopMessage); err != nil && l.e.ctx.Err() == nil {
		l.e.log.Warn("the agent did not take the stop", "instance", l.id, "error", err)
	}
}
