package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// lostError: the sandbox died under the programs.
type lostError struct {
	reason, message string
}

func (e *lostError) Error() string { return e.reason + ": " + e.message }

// startError: the sandbox or the workload could not be started; Permanent ones
// cannot succeed later either.
type startError struct {
	reason    string
	permanent bool
	err       error
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// again tells whether, after err, the instance gets a new sandbox, and when:
// after a loss or a failed start, by the restart policy, with the back-off that a
// restarted container has.
func (l *life) again(err error) (time.Duration, bool) {
	rec, _ := l.snapshot()
	var start *startError
	permanent := errors.As(err, &start) && start.permanent
	if err == nil || permanent || l.stopping() || rec.Spec.RestartPolicy == api.RestartNever {
		return 0, false
	}
	lost := rec.Run.LostSandboxes
	if rec.Status.StartedAt != nil && time.Since(*rec.Status.StartedAt) > calm && time.Since(l.arrived) > calm {
		lost = 0
	}
	wait := backOff(lost)
	write, end, sent := l.set, l.lastEnd(time.Now().UTC()), l.sent()
	if rec.Run.Clock.Open() {
		write = l.durably // a new sandbox has a clock of its own
	}
	write(func(in *store.Instance) {
		in.Run.Clock = in.Run.Clock.Stop(end, sent)
		in.Run.LostSandboxes = lost + 1
		in.Status.Phase, in.Status.Ready = api.PhasePending, false
		in.Status.Reason, in.Status.Message = reasonOf(err), err.Error()
		in.Status.ContainerStatuses = waitAgain(in.Status.ContainerStatuses, err, wait)
		in.Status.InitContainerStatuses = waitAgain(in.Status.InitContainerStatuses, err, wait)
		in.Status.EphemeralContainerStatuses = endAll(in.Status.EphemeralContainerStatuses, err, time.Now().UTC())
	})
	l.event(api.EventWarning, "", "BackOff", fmt.Sprintf("a new sandbox in %s: %v", wait, err))
	return wait, true
}

// waitAgain shows containers that wait for a new sandbox; what they were is
// their last state, and the restart is counted.
func waitAgain(statuses []api.ContainerStatus, err error, wait time.Duration) []api.ContainerStatus {
	next := append([]api.ContainerStatus(nil), statuses...)
	for i := range next {
		s := &next[i]
		if s.State.Running != nil {
			*s = endAll(next[i:i+1], err, time.Now().UTC())[0]
		}
		if s.State.Terminated != nil {
			s.LastState = s.State
			s.RestartCount++
		}
		s.Ready, s.Started = false, false
		s.State = api.ContainerState{Waiting: &api.StateWaiting{
			Reason: api.ReasonCrashLoopBackOff, Message: fmt.Sprintf("back-off %s starting a new sandbox", wait)}}
	}
	return next
}

// calm is how long an instance must have run for its losses to be forgotten.
const calm = 10 * time.Minute

// backOff is the wait before the n-th new try: none, then 10 s doubling to 5 min.
func backOff(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return min(10*time.Second<<min(n-1, 6), 5*time.Minute)
}

func reasonOf(err error) string {
	var lost *lostError
	var start *startError
	switch {
	case errors.As(err, &lost):
		return lost.reason
	case errors.As(err, &start):
		return start.reason
	}
	return api.ReasonError
}

// finish records the end of a run: the phase and why.
func (l *life) finish(err error) {
	now := time.Now().UTC()
	end, sent := l.lastEnd(now), l.sent()
	// A stop that came with the natural end is done, too.
	l.durably(func(in *store.Instance) {
		s := &in.Status
		in.Run.Clock = in.Run.Clock.Stop(end, sent)
		s.Stopping, s.Ready = false, false
		eachList(in, func(list []api.ContainerStatus) []api.ContainerStatus { return endAll(list, err, now) })
		s.FinishedAt = lastEnd(s.ContainerStatuses, now)
		s.ExitCode = exitCode(in)
		s.Phase, s.Reason, s.Message = verdict(in, err)
		in.Run.Stop, in.Run.StopBy = false, nil
	})
	os.RemoveAll(l.e.runDir(l.id))
	rec, _ := l.snapshot()
	l.e.names.remove(networkID(l.e.networks.vpcOf(l.id)), rec.Spec.Name)
	switch {
	case rec.Run.StopReason == api.ReasonStopped, rec.Run.StopReason == api.ReasonBudgetSpent:
		l.event(api.EventNormal, "", "Stopped", rec.Run.StopMessage)
	case rec.Status.Phase == api.PhaseFailed:
		l.event(api.EventWarning, "", "Failed", rec.Status.Message)
	default:
		l.event(api.EventNormal, "", "Finished", "every program has ended")
	}
}

// durably is update, tried until it is on disk or the engine closes: without it
// the end would be forgotten.
func (l *life) durably(fn func(*store.Instance)) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := l.update(true, fn)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			return
		}
		l.release() // its disk may be what there is too little of
		l.e.log.Error("the record cannot be written", "instance", l.id, "error", err, "again in", wait)
		select {
		case <-l.e.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// endAll gives containers that never came to an end one: they did not run.
func endAll(statuses []api.ContainerStatus, err error, now time.Time) []api.ContainerStatus {
	next := append([]api.ContainerStatus(nil), statuses...)
	for i := range next {
		s := &next[i]
		s.Ready, s.Started = false, false
		if s.State.Terminated != nil {
			continue
		}
		end := &api.StateTerminated{ExitCode: 128, Reason: api.ReasonNotStarted, FinishedAt: now}
		if s.State.Running != nil {
			end.ExitCode, end.Signal, end.StartedAt = 137, 9, s.State.Running.StartedAt
		}
		if errors.Is(err, errStopped) {
			end.Reason, end.Message = api.ReasonStopped, err.Error()
		} else if err != nil {
			end.Reason, end.Message = reasonOf(err), err.Error()
		}
		s.State = api.ContainerState{Terminated: end}
	}
	return next
}

func lastEnd(statuses []api.ContainerStatus, now time.Time) *time.Time {
	var last time.Time
	for _, s := range statuses {
		if t := s.State.Terminated; t != nil && t.FinishedAt.After(last) {
			last = t.FinishedAt
		}
	}
	if last.IsZero() || last.After(now) {
		last = now
	}
	return &last
}

// exitCode is the first container's, or that of an init container that failed
// before it.
func exitCode(in *store.Instance) *int {
	first := failed(decisive(in))
	if statuses := in.Status.ContainerStatuses; first == nil && len(statuses) > 0 {
		first = &statuses[0]
	}
	if first == nil || first.State.Terminated == nil {
		return nil
	}
	return &first.State.Terminated.ExitCode
}

// verdict is the phase at the end and why.
func verdict(in *store.Instance, err error) (api.Phase, string, string) {
	if in.Run.StopReason != "" {
		phase := api.PhaseSucceeded
		if in.Run.StopReason == api.ReasonDeadlineExceeded || failed(in.Status.ContainerStatuses) != nil {
			phase = api.PhaseFailed
		}
		return phase, in.Run.StopReason, in.Run.StopMessage
	}
	if err != nil {
		return api.PhaseFailed, reasonOf(err), err.Error()
	}
	for _, statuses := range [][]api.ContainerStatus{decisive(in), in.Status.ContainerStatuses} {
		if s := failed(statuses); s != nil {
			t := s.State.Terminated
			message := fmt.Sprintf("container %s ended with exit code %d", s.Name, t.ExitCode)
			if t.Message != "" {
				message += ": " + t.Message
			}
			return api.PhaseFailed, t.Reason, message
		}
	}
	return api.PhaseSucceeded, api.ReasonCompleted, ""
}

// decisive are the init containers that have a say in how the instance ends: not the
// sidecars.
func decisive(in *store.Instance) (statuses []api.ContainerStatus) {
	for _, s := range in.Status.InitContainerStatuses {
		if !in.Spec.IsSidecar(s.Name) {
			statuses = append(statuses, s)
		}
	}
	return statuses
}

// failed returns the first container that did not end well.
func failed(statuses []api.ContainerStatus) *api.ContainerStatus {
	for i, s := range statuses {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			return &statuses[i]
		}
	}
	return nil
}

// rerun prepares another run where a restart was asked for.
func (l *life) rerun() bool {
	rec, _ := l.snapshot()
	if !rec.Run.Again || rec.Run.Remove {
		return false
	}
	again := false
	l.durably(func(in *store.Instance) {
		if again = in.Run.Again && !in.Run.Remove; !again {
			return
		}
		reset(in)
		// In the same step: a stop that comes after it is for the new run.
		l.stop = make(chan struct{})
	})
	if !again {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrived = time.Now()
	l.logs.end()
	l.logs.close()
	l.logs = l.e.openLogs(l.rec)
	return true
}

// reset makes the record that of a new run.
func reset(in *store.Instance) {
	if next := in.Run.Next; next != nil {
		size := in.Spec // it may have been changed since
		in.Spec = *next
		in.Spec.Size, in.Spec.CPU, in.Spec.Memory = size.Size, size.CPU, size.Memory
	}
	in.Spec.EphemeralContainers = nil
	in.Run = store.Run{Number: in.Run.Number + 1, RegistryAuth: in.Run.RegistryAuth, RemoveAfter: in.Run.RemoveAfter}
	in.Status = api.InstanceStatus{Phase: api.PhasePending, Isolation: in.Status.Isolation, Emulated: in.Status.Emulated,
		Address: in.Status.Address, Address6: in.Status.Address6, PublicAddress: in.Status.PublicAddress, Ports: in.Status.Ports,
		InitContainerStatuses: waiting(in.Spec.InitContainers), ContainerStatuses: waiting(in.Spec.Containers)}
}

// conclude does what is due after the end, unless another run follows: the removal,
// now or after the TTL. It returns what kept it from the removal.
func (l *life) conclude() error {
	rec, _ := l.snapshot()
	switch {
	case rec.Run.Remove || rec.Run.RemoveAfter && !rec.Run.Again:
		l.e.depart(l)
		if err := l.e.forget(l.e.ctx, rec); err != nil {
			return err
		}
		close(l.forgotten)
	case !rec.Run.Again:
		l.e.expire(rec)
	}
	return nil
}

// forgetLater removes the record when that has failed at the end, until it
// succeeds or the engine closes: the next start of cisd goes on.
func (l *life) forgetLater(err error) {
	for wait := 100 * time.Millisecond; err != nil; wait = min(2*wait, time.Minute) {
		l.e.log.Error("an instance cannot be removed", "instance", l.id, "error", err, "again in", wait)
		select {
		case <-l.e.ctx.Done():
			return
		case <-time.After(wait):
		}
		rec, _ := l.snapshot()
		err = l.e.forget(l.e.ctx, rec)
	}
	close(l.forgotten)
}

// departure is how long an instance that was removed at its end can still be
// attached to and waited for: `run --rm` asks for that after the create.
const departure = 30 * time.Second

// depart keeps the life of an instance that is about to be removed, for a while.
func (e *Engine) depart(l *life) {
	l.mu.Lock()
	held := l.logs.hold()
	l.mu.Unlock()
	e.mu.Lock()
	e.departed[l.id] = l
	e.mu.Unlock()
	e.wg.Go(func() {
		defer held.close()
		select {
		case <-e.ctx.Done():
		case <-time.After(departure):
		}
		e.mu.Lock()
		delete(e.departed, l.id)
		e.mu.Unlock()
	})
}

// gone returns the life of an instance that was removed at its end a moment ago.
func (e *Engine) gone(ctx context.Context, id string) *life {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.departed[id]
	if l == nil {
		return nil
	}
	if rec, _ := l.snapshot(); !account.Of(ctx).Owns(rec.Account) {
		return nil
	}
	return l
}

// expire removes a finished instance when its TTL is over.
func (e *Engine) expire(rec store.Instance) {
	ttl := rec.Spec.TTLSecondsAfterFinished
	if ttl == nil || rec.Status.FinishedAt == nil {
		return
	}
	due := rec.Status.FinishedAt.Add(time.Duration(*ttl) * time.Second)
	e.wg.Go(func() {
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		now, err := e.cfg.Store.Instance(e.ctx, rec.ID)
		// Started again since: its next end counts.
		if err != nil || now.Run.Number != rec.Run.Number || !now.Status.Phase.Finished() {
			return
		}
		if err := e.forget(e.ctx, *now); err != nil {
			e.log.Error("an instance cannot be removed after its ttl", "instance", rec.ID, "error", err)
		}
	})
}

// partLater leaves it to the life of an instance to give back what it used of the
// network, when its sandbox is gone; false if there is no life any more.
func (e *Engine) partLater(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lives[id]
	if l != nil {
		l.parts = true
	}
	return l != nil
}

// forget removes a finished instance's record and logs.
func (e *Engine) forget(ctx context.Context, rec store.Instance) error {
	unlock, err := e.births.Lock(ctx, rec.ID)
	if err != nil {
		return err
	}
	defer unlock()
	if l := e.life(rec.ID); l != nil {
		if now, _ := l.snapshot(); !now.Status.Phase.Finished() {
			return api.Errorf(api.Conflict, "instance %s was started meanwhile", rec.Spec.Name).WithNext("stop it first")
		}
	}
	err = e.cfg.Store.DeleteInstance(ctx, &rec, func() {
		e.publish(api.WatchDeleted, rec.Instance)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !e.partLater(rec.ID) {
		e.part(ctx, rec.ID, rec.Status.Address)
	}
	return os.RemoveAll(e.logDir(rec.ID))
}
