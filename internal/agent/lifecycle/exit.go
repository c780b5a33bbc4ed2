package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"
	"time"

	"cis/api"
	"cis/internal/agent/lastwords"
	"cis/internal/agent/runtime"
)

// exited takes a program's end.
func (c *container) exited(now time.Time, e Exited) {
	t := &api.StateTerminated{
		ExitCode: e.Code, Signal: e.Signal, Reason: api.ReasonError, Message: short(e.Message),
		StartedAt: c.state.Running.StartedAt, FinishedAt: now,
	}
	if t.Message == "" {
		t.Message = cut(e.LastWords, lastwords.Max)
	}
	switch {
	case e.OOMKilled:
		t.Reason = api.ReasonOOMKilled
	case c.failure != "":
		t.Reason, t.Message = api.ReasonPostStartError, c.failure
	case e.Code == 0:
		t.Reason = api.ReasonCompleted
	}
	c.over(now, t)
}

// lost takes the end of the whole sandbox.
func (c *container) lost(now time.Time, loss runtime.Loss) {
	t := &api.StateTerminated{
		ExitCode: 128 + int(syscall.SIGKILL), Signal: int(syscall.SIGKILL),
		Reason: api.ReasonSandboxLost, Message: short(loss.Message), FinishedAt: now,
	}
	if loss.OOMKilled {
		t.Reason = api.ReasonOOMKilled
	}
	switch {
	case c.phase.hasProgram():
		t.StartedAt = c.state.Running.StartedAt
		c.over(now, t)
	case c.phase == starting:
		c.m.do(Abort{c.ref()})
		c.over(now, t)
	default:
		c.end()
	}
}

// over is reached when a run has ended, or did not begin. It decides what follows.
func (c *container) over(now time.Time, t *api.StateTerminated) {
	switch c.phase {
	case hooking:
		c.m.do(CancelHook{c.ref(), PostStart})
	case preStopping:
		c.m.do(CancelHook{c.ref(), PreStop})
	}
	c.settled, c.started, c.ready = true, false, false
	for _, p := range c.probes() {
		p.stop()
	}
	c.state = api.ContainerState{Terminated: t}
	if !c.restarts(t.ExitCode) {
		c.phase = ended
		return
	}
	delay := c.backoff.delay(t.StartedAt, t.FinishedAt)
	c.phase, c.due = waiting, t.FinishedAt.Add(delay)
	c.before, c.last = c.last, c.state
	c.state = waitingState(api.ReasonContainerCreating, "")
	if delay > 0 {
		c.state = waitingState(api.ReasonCrashLoopBackOff, fmt.Sprintf("back-off %s restarting failed container", delay))
		c.event(now, api.EventWarning, "BackOff", "Back-off restarting failed container "+c.spec.Name)
	}
}

// restarts tells whether a run that ended is followed by another.
func (c *container) restarts(code int) bool {
	failed := code != 0 || c.again
	done := c.init && !c.sidecar() && !failed
	switch {
	case c.m.ending(), c.m.lost, c.added, done:
		return false
	case slices.ContainsFunc(c.spec.RestartRules, func(r api.ContainerRestartRule) bool { return r.Fits(code) }):
		return true
	}
	switch c.policy() {
	case api.RestartAlways:
		return true
	case api.RestartOnFailure:
		return failed
	}
	return false
}

// policy is the container's own, else the workload's.
func (c *container) policy() api.RestartPolicy {
	return cmp.Or(c.spec.RestartPolicy, c.m.w.RestartPolicy)
}

// end ends a container without a program for good. One that waited for a restart
// shows its last run again.
func (c *container) end() {
	if c.phase == waiting && c.starts > 0 {
		c.state, c.last = c.last, c.before
	}
	c.phase = ended
}

// failed tells whether an init container ended without success.
func (c *container) failed() bool {
	return !c.sidecar() && c.phase == ended && (c.state.Terminated == nil || c.state.Terminated.ExitCode != 0)
}
