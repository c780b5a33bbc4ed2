// Package lifecycle decides what happens to a workload's containers: their order,
// restarts with back-off, probes, hooks and ends. It is one state machine that
// takes one event at a time and answers with what to do.
//
// It does nothing itself: no I/O, no goroutines, no clock. Time is an argument, so
// every course of events can be played through in a test. Where it names no other
// source, its rules are the kubelet's (kubernetes/pkg/kubelet, 1.34).
package lifecycle

import (
	"slices"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// Machine is the state of one workload.
type Machine struct {
	w      *agentpb.Workload
	init   []*container
	main   []*container
	added  []*container
	byName map[string]*container

	// stopping: the workload was asked to end by killBy; atOnce without grace.
	stopping bool
	// closing: all but the sidecars have ended, and those shall by killBy.
	closing  bool
	atOnce   bool
	killBy   time.Time
	lost     bool
	finished bool
	reason   string
	message  string

	actions []Action
	events  ring
}

// New makes the machine of a workload, whose containers have different names.
func New(w *agentpb.Workload) *Machine {
	m := &Machine{w: w, byName: map[string]*container{}}
	reason := api.ReasonContainerCreating
	if len(w.InitContainers) > 0 {
		reason = api.ReasonPodInitializing
	}
	for i := range w.InitContainers {
		m.init = append(m.init, newContainer(m, &w.InitContainers[i], true, reason))
	}
	for i := range w.Containers {
		m.main = append(m.main, newContainer(m, &w.Containers[i], false, reason))
	}
	for c := range m.all {
		m.byName[c.spec.Name] = c
	}
	return m
}

// all gives every container, init containers first.
func (m *Machine) all(yield func(*container) bool) {
	for _, c := range slices.Concat(m.init, m.main, m.added) {
		if !yield(c) {
			return
		}
	}
}

// Finished tells that every program has ended for good. No step does anything then.
func (m *Machine) Finished() bool { return m.finished }

// Step takes one event and returns what to do now.
func (m *Machine) Step(now time.Time, e Event) []Action {
	m.actions = nil
	if m.finished {
		return nil
	}
	switch e := e.(type) {
	case Add:
		m.add(now, e.Container)
	case Stop:
		m.stop(now, e.Grace, api.ReasonStopped, e.Message)
	case Lost:
		m.lose(now, e)
	default:
		m.deliver(now, e)
	}
	m.advance(now)
	return m.actions
}

// add takes in one more container, which waits for no other.
func (m *Machine) add(now time.Time, spec *agentpb.Container) {
	if m.byName[spec.Name] != nil {
		return
	}
	c := newContainer(m, spec, false, api.ReasonContainerCreating)
	c.added = true
	m.added, m.byName[spec.Name] = append(m.added, c), c
	c.turn(now)
	if m.ending() {
		c.end()
	}
}

// deliver hands an event to the container it is about.
func (m *Machine) deliver(now time.Time, e Event) {
	switch e := e.(type) {
	case Started:
		if c := m.current(e.Ref); c != nil && c.phase == starting {
			c.wasStarted(now, e.Failure)
		}
	case Exited:
		if c := m.current(e.Ref); c != nil && c.phase.hasProgram() {
			c.exited(now, e)
		}
	case Cleared:
		if c := m.current(e.Ref); c != nil {
			c.littered = false
		}
	case HookDone:
		if c := m.current(e.Ref); c != nil {
			c.hookDone(now, e.Hook, e.Err)
		}
	case Probed:
		if c := m.current(e.Ref); c != nil {
			c.probed(now, e)
		}
	case Restart:
		if c := m.current(e.Ref); c != nil {
			c.restart(now)
		}
	case Wrote:
		if c := m.current(e.Ref); c != nil && c.firstOutput.IsZero() {
			c.firstOutput = e.At
		}
	case Noticed:
		if c := m.current(e.Ref); c != nil {
			c.event(now, api.EventWarning, e.Reason, e.Message)
		}
	}
}

// current is the container whose latest attempt ref names, or nil.
func (m *Machine) current(ref Ref) *container {
	if c := m.byName[ref.Container]; c != nil && c.attempt == ref.Attempt && c.starts > 0 {
		return c
	}
	return nil
}

// advance does what time and order call for.
func (m *Machine) advance(now time.Time) {
	if d := m.w.Deadline; !d.IsZero() && !now.Before(d) && !m.ending() {
		const message = "The instance ran longer than its deadline."
		m.event(now, api.EventWarning, api.ReasonDeadlineExceeded, message)
		m.stop(now, m.w.GracePeriod, api.ReasonDeadlineExceeded, message)
	}
	m.closeIfDone(now)
	for c := range m.all {
		c.tick(now)
	}
	m.giveTurns(now)
	for c := range m.all {
		c.startIfDue(now)
	}
	m.finished = m.isOver()
}

// giveTurns lets init containers start one after the other, each when the one
// before has succeeded, or is a sidecar that has started; then the main ones, each
// when the start of the one before is over.
func (m *Machine) giveTurns(now time.Time) {
	for _, c := range m.init {
		c.turn(now)
		if !c.passed() {
			return
		}
	}
	for _, c := range m.main {
		c.turn(now)
		if !c.settled {
			return
		}
	}
}

// isOver tells whether nothing runs and nothing will.
func (m *Machine) isOver() bool {
	stuck := m.isStuck()
	for c := range m.all {
		if c.phase != ended && !(stuck && c.phase == idle) {
			return false
		}
	}
	return true
}

// stop asks everything to end; a later call can only shorten the time for it.
func (m *Machine) stop(now time.Time, grace time.Duration, reason, message string) {
	killBy := now.Add(max(grace, 0))
	if m.ending() && !killBy.Before(m.killBy) {
		return
	}
	m.killBy, m.atOnce = killBy, grace <= 0
	if !m.stopping {
		m.stopping, m.reason, m.message = true, reason, message
	}
	for c := range m.all {
		c.stop(now)
	}
}

// lose ends everything with the sandbox.
func (m *Machine) lose(now time.Time, e Lost) {
	m.lost = true
	if m.reason == "" {
		m.reason, m.message = api.ReasonSandboxLost, e.Message
		if e.OOMKilled {
			m.reason = api.ReasonOOMKilled
		}
	}
	m.event(now, api.EventWarning, api.ReasonSandboxLost, "The sandbox died: "+e.Message)
	for c := range m.all {
		if c.phase != ended {
			c.lost(now, e.Loss)
		}
	}
}

// Wake is when the machine wants a Tick, zero for never.
func (m *Machine) Wake() time.Time {
	if m.finished {
		return time.Time{}
	}
	var at time.Time
	if !m.ending() {
		at = m.w.Deadline
	}
	for c := range m.all {
		at = earliest(at, c.wake())
	}
	return at
}

func (m *Machine) do(a Action) { m.actions = append(m.actions, a) }

// earliest of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
