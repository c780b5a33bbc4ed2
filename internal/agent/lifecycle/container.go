package lifecycle

import (
	"fmt"
	"syscall"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// phase is where a container is in its life.
type phase int

const (
	idle        phase = iota // its turn has not come
	waiting                  // to be started, now or after its back-off
	starting                 // Start is under way
	hooking                  // runs; the postStart hook is under way
	running                  // runs
	preStopping              // runs; the preStop hook is under way
	holding                  // runs; it ends after others
	terminating              // was asked to end
	ended                    // for good
)

// hasProgram tells whether a program runs in the phase.
func (p phase) hasProgram() bool { return p >= hooking && p <= terminating }

const (
	// leeway is what a program gets between its stop signal and the kill where a
	// preStop hook, or the end of others, took all of the grace period, as the kubelet
	// gives it.
	leeway = 2 * time.Second
	// killAgain is when a kill that did nothing is sent again.
	killAgain = 10 * time.Second
)

// container is one container's part of the machine.
type container struct {
	m    *Machine
	spec *agentpb.Container
	init bool
	// added: it came by Add.
	added bool

	phase    phase
	attempt  int // of the latest start; that of the first is spec.RestartCount
	starts   int
	backoff  backoff
	due      time.Time // waiting: when to start
	littered bool      // something of the latest attempt is left
	settled  bool      // the first start is over, one way or the other
	killBy   time.Time // preStopping, terminating: when patience ends

	// again: the end of the run is a restart by a failed probe or hook, whatever
	// the exit code. failure is then why, where a hook failed.
	again   bool
	failure string

	state, last api.ContainerState
	before      api.ContainerState // the last state before last
	started     bool
	ready       bool
	// hasBeenStarted: started was true once.
	hasBeenStarted bool
	firstOutput    time.Time

	startup, liveness, readiness *probe

	user *api.ContainerUser
}

func newContainer(m *Machine, spec *agentpb.Container, init bool, reason string) *container {
	return &container{
		m: m, spec: spec, init: init, attempt: spec.RestartCount, last: spec.LastState,
		state:     waitingState(reason, ""),
		startup:   newProbe(Startup, spec.StartupProbe),
		liveness:  newProbe(Liveness, spec.LivenessProbe),
		readiness: newProbe(Readiness, spec.ReadinessProbe),
		user:      userOf(spec),
	}
}

func userOf(spec *agentpb.Container) *api.ContainerUser {
	u := &api.ContainerUser{UID: int64(spec.UID), GID: int64(spec.GID)}
	for _, group := range spec.Groups {
		u.SupplementalGroups = append(u.SupplementalGroups, int64(group))
	}
	return u
}

func waitingState(reason, message string) api.ContainerState {
	return api.ContainerState{Waiting: &api.StateWaiting{Reason: reason, Message: message}}
}

func (c *container) ref() Ref { return Ref{c.spec.Name, c.attempt} }

func (c *container) probes() [3]*probe { return [3]*probe{c.startup, c.liveness, c.readiness} }

// turn lets the container start.
func (c *container) turn(now time.Time) {
	if c.phase == idle {
		c.phase, c.due = waiting, now
	}
}

// startIfDue starts a waiting container.
func (c *container) startIfDue(now time.Time) {
	if c.phase != waiting || c.littered || now.Before(c.due) {
		return
	}
	if c.starts > 0 {
		c.attempt++
		c.state = waitingState(api.ReasonContainerCreating, "")
	}
	c.starts++
	c.phase = starting
	c.again, c.failure = false, ""
	c.killBy, c.firstOutput = time.Time{}, time.Time{}
	c.m.do(Start{c.ref()})
}

// wasStarted takes the answer to a Start.
func (c *container) wasStarted(now time.Time, f *Failure) {
	if f != nil {
		c.settled = true
		c.event(now, api.EventWarning, "Failed", "Error: "+f.Message)
		c.over(now, &api.StateTerminated{
			ExitCode: f.ExitCode, Reason: api.ReasonRunError, Message: short(f.Message), FinishedAt: now,
		})
		return
	}
	c.littered = true
	c.event(now, api.EventNormal, "Created", "Created container "+c.spec.Name)
	c.event(now, api.EventNormal, "Started", "Started container "+c.spec.Name)
	c.state = api.ContainerState{Running: &api.StateRunning{StartedAt: now}}
	switch {
	case c.m.ending():
		c.phase = running
		c.terminate(now, c.m.killBy, c.stopMessage())
	case c.spec.Lifecycle != nil && c.spec.Lifecycle.PostStart != nil:
		c.phase = hooking
		c.m.do(RunHook{c.ref(), PostStart})
	default:
		c.run(now)
	}
}

// run is reached when the program runs and its postStart hook has succeeded.
func (c *container) run(now time.Time) {
	c.phase, c.settled = running, true
	if c.startup != nil {
		c.startup.begin(now, c.state.Running.StartedAt)
	} else {
		c.hasStarted(now)
	}
}

// hasStarted is reached when the startup probe, if any, has succeeded.
func (c *container) hasStarted(now time.Time) {
	c.started, c.hasBeenStarted = true, true
	c.ready = c.readiness == nil
	c.startup.stop()
	c.liveness.begin(now, c.state.Running.StartedAt)
	c.readiness.begin(now, c.state.Running.StartedAt)
}

// hookDone takes the answer to a RunHook.
func (c *container) hookDone(now time.Time, hook Hook, err error) {
	switch {
	case hook == PostStart && c.phase == hooking && err == nil:
		c.run(now)
	case hook == PostStart && c.phase == hooking:
		c.settled = true
		c.failure = short("the postStart hook failed: " + err.Error())
		c.event(now, api.EventWarning, "FailedPostStartHook", "PostStart hook failed: "+err.Error())
		c.terminateForRestart(now, c.m.w.GracePeriod, "FailedPostStartHook")
	case hook == PreStop && c.phase == preStopping:
		if err != nil {
			c.event(now, api.EventWarning, "FailedPreStopHook", "PreStop hook failed: "+err.Error())
		}
		c.signalInTurn(now)
	}
}

// probed takes the answer to a Probe.
func (c *container) probed(now time.Time, e Probed) {
	i := map[ProbeKind]int{Startup: 0, Liveness: 1, Readiness: 2}[e.Kind]
	p := c.probes()[i]
	if p == nil || c.phase != running || p.next.IsZero() {
		return
	}
	v := p.answer(e.OK)
	if !e.OK {
		c.event(now, api.EventWarning, "Unhealthy", fmt.Sprintf("%s probe failed: %s", e.Kind, e.Message))
	}
	switch {
	case v == undecided:
	case e.Kind == Readiness:
		c.ready = v == healthy
	case v == unhealthy:
		word := map[ProbeKind]string{Startup: "startup", Liveness: "liveness"}[e.Kind]
		c.terminateForRestart(now, p.grace(c.m.w.GracePeriod), fmt.Sprintf("Container %s failed %s probe, will be restarted", c.spec.Name, word))
	case e.Kind == Startup && !c.started:
		c.hasStarted(now)
	}
}

// terminateForRestart ends a program so that it is started anew, if the policy lets it.
func (c *container) terminateForRestart(now time.Time, grace time.Duration, message string) {
	c.again = true
	c.terminate(now, now.Add(grace), message)
}

// restart is asked for from outside, so that the back-off begins anew.
func (c *container) restart(now time.Time) {
	if c.phase != hooking && c.phase != running || c.m.ending() || c.added || c.policy() == api.RestartNever {
		return
	}
	c.backoff = backoff{}
	c.terminateForRestart(now, c.m.w.GracePeriod, fmt.Sprintf("Container %s will be restarted with other resources", c.spec.Name))
}

func (c *container) stopMessage() string {
	return "Stopping container " + c.spec.Name
}

// terminate asks a running program to end, and ends it by force at killBy.
func (c *container) terminate(now, killBy time.Time, message string) {
	if c.phase == hooking {
		c.m.do(CancelHook{c.ref(), PostStart})
	}
	c.settled = true
	c.event(now, api.EventNormal, "Killing", message)
	c.started, c.ready = false, false
	for _, p := range c.probes() {
		p.stop()
	}
	c.killBy = killBy
	c.phase = terminating
	switch {
	case !now.Before(killBy):
		c.kill(now)
	case c.spec.Lifecycle != nil && c.spec.Lifecycle.PreStop != nil:
		c.phase = preStopping
		c.m.do(RunHook{c.ref(), PreStop})
	default:
		c.signalInTurn(now)
	}
}

// signalInTurn sends the stop signal, unless others have to end before.
func (c *container) signalInTurn(now time.Time) {
	if c.m.ending() && c.killBy.After(now) && c.endsLater() {
		c.phase = holding
		return
	}
	c.signal(now)
}

// signal sends the stop signal.
func (c *container) signal(now time.Time) {
	if c.phase == preStopping || c.phase == holding {
		c.killBy = latest(c.killBy, now.Add(leeway))
	}
	c.phase = terminating
	n := c.spec.StopSignal
	if n == 0 {
		n = int(syscall.SIGTERM)
	}
	c.m.do(Signal{Ref: c.ref(), Signal: n})
}

// kill ends everything in the container.
func (c *container) kill(now time.Time) {
	if c.phase == preStopping {
		c.m.do(CancelHook{c.ref(), PreStop})
	}
	c.phase = terminating
	c.killBy = now.Add(killAgain)
	c.m.do(Signal{Ref: c.ref(), Signal: int(syscall.SIGKILL), All: true})
}

// stop ends the container for good, by the machine's killBy.
func (c *container) stop(now time.Time) {
	switch c.phase {
	case idle, waiting:
		c.end()
	case hooking, running:
		c.terminate(now, c.m.killBy, c.stopMessage())
	case preStopping, holding, terminating:
		if c.m.killBy.Before(c.killBy) {
			c.killBy = c.m.killBy
		}
		c.tick(now)
	}
}

// tick does what is due.
func (c *container) tick(now time.Time) {
	switch c.phase {
	case starting:
		if c.m.ending() && !c.wake().After(now) {
			c.killBy = now.Add(killAgain)
			c.m.do(Abort{c.ref()})
		}
	case preStopping:
		if c.killBy.After(now) {
			return
		}
		if c.m.stopping && c.m.atOnce {
			c.kill(now)
			return
		}
		c.m.do(CancelHook{c.ref(), PreStop})
		c.event(now, api.EventWarning, "FailedPreStopHook", "PreStop hook did not end within the grace period")
		c.signal(now)
	case holding:
		switch {
		case c.m.stopping && c.m.atOnce:
			c.kill(now)
		case !c.killBy.After(now) || !c.endsLater():
			c.signal(now)
		}
	case terminating:
		if !c.killBy.After(now) {
			c.kill(now)
		}
	case running:
		for _, p := range c.probes() {
			if p.due(now) {
				c.m.do(Probe{c.ref(), p.kind})
			}
		}
	}
}

// wake is when tick or startIfDue has something to do, zero for never.
func (c *container) wake() time.Time {
	var at time.Time
	switch c.phase {
	case waiting:
		if !c.littered {
			at = c.due
		}
	case starting:
		if c.m.ending() {
			at = latest(c.killBy, c.m.killBy)
		}
	case preStopping, holding, terminating:
		at = c.killBy
	case running:
		for _, p := range c.probes() {
			at = earliest(at, p.wake())
		}
	}
	return at
}
