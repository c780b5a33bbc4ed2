package agent

import (
	"context"
	"time"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/lifecycle"
	"cis/internal/agent/runtime"
)

// supervisor runs a workload: one goroutine owns the lifecycle machine, hands it
// events, and sends off the actions, which answer with events.
type supervisor struct {
	ctx     context.Context
	rt      runtime.Runtime
	opts    Options
	w       *agentpb.Workload
	board   *board
	machine *lifecycle.Machine
	inbox   chan lifecycle.Event
	slots   slots
	asker   *asker
	// showBy is when a change that is of no hurry is shown; zero for none.
	showBy time.Time
}

// showDelay is how long a change that is of no hurry waits for one that is.
const showDelay = 100 * time.Millisecond

func newSupervisor(a *Agent, w *agentpb.Workload) *supervisor {
	s := &supervisor{
		ctx: a.ctx, rt: a.rt, opts: a.opts, w: w, board: a.board,
		machine: lifecycle.New(w), inbox: make(chan lifecycle.Event), slots: slots{all: map[string]*slot{}},
		asker: newAsker(a.rt, a.opts.ProbeHost, w.Address),
	}
	for _, cs := range [][]agentpb.Container{w.InitContainers, w.Containers} {
		for i := range cs {
			s.slots.add(newSlot(s, &cs[i]))
		}
	}
	return s
}

// loop owns the machine until the agent ends.
func (s *supervisor) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	lost := s.rt.Lost()
	for {
		timer.Reset(s.untilWake())
		var e lifecycle.Event = lifecycle.Tick{}
		select {
		case e = <-s.inbox:
		case <-timer.C:
		case <-lost:
		case <-s.ctx.Done():
			return
		}
		select { // programs end with their sandbox: that it was lost comes first
		case <-lost:
			lost = nil
			s.step(lifecycle.Lost{Loss: s.rt.Cause()})
		default:
		}
		s.step(e)
	}
}

// untilWake is the time until the machine wants a tick, or something is to be shown.
func (s *supervisor) untilWake() time.Duration {
	wait := time.Hour
	for _, at := range []time.Time{s.machine.Wake(), s.showBy} {
		if !at.IsZero() {
			wait = min(wait, time.Until(at))
		}
	}
	return wait
}

func (s *supervisor) step(e lifecycle.Event) {
	finished := s.machine.Finished()
	actions := s.machine.Step(time.Now(), e)
	for _, a := range actions {
		s.act(a)
	}
	if s.machine.Finished() && !finished {
		s.opts.Log.Info("the workload has finished", "reason", s.machine.State().Reason)
		if err := s.rt.Settle(); err != nil {
			s.opts.Log.Error("not all that was written is on the disks", "error", err)
		}
	}
	s.show(e)
}

// show publishes the state after an event. When a program first wrote something is told
// with what comes next, or a moment later: to tell it alone would hold up, where the
// processor is emulated, the end of a program that is short.
func (s *supervisor) show(e lifecycle.Event) {
	if _, wrote := e.(lifecycle.Wrote); wrote && !s.machine.Finished() {
		if s.showBy.IsZero() {
			s.showBy = time.Now().Add(showDelay)
		}
		return
	}
	s.showBy = time.Time{}
	s.board.publish(s.machine.State())
}

// act sends an action off.
func (s *supervisor) act(a lifecycle.Action) {
	s.opts.Log.Debug("act", "action", a)
	switch a := a.(type) {
	case lifecycle.Start:
		s.slots.get(a.Container).start(a.Ref)
	case lifecycle.Abort:
		s.slots.get(a.Container).abort()
	case lifecycle.Signal:
		go s.slots.get(a.Container).signal(a)
	case lifecycle.RunHook:
		s.slots.get(a.Container).runHook(a.Ref, a.Hook)
	case lifecycle.CancelHook:
		s.slots.get(a.Container).cancelHook(a.Hook)
	case lifecycle.Probe:
		go s.slots.get(a.Container).probe(a.Ref, a.Kind)
	}
}

// post hands the machine an event.
func (s *supervisor) post(e lifecycle.Event) {
	select {
	case s.inbox <- e:
	case <-s.ctx.Done():
	}
}
