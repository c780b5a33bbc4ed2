package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/lifecycle"
	"cis/internal/agent/runtime"
)

const (
	// clearTimeout bounds what the runtime is asked to do about a program.
	clearTimeout = time.Minute
	// lossDelay is how long the end of a program by a kill that nobody asked for, or
	// a start that failed for no fault of the program, is held back: it may be the
	// sandbox that died.
	lossDelay = 250 * time.Millisecond
	// tellTime is how long what is left of the last program waits to be cleared away:
	// the sandbox itself mostly goes before.
	tellTime = 250 * time.Millisecond
	// startFault is the exit code of a program that did not start for another reason
	// than that it is missing or not executable.
	startFault = 128
)

// slot is a container's place: its latest two attempts, and what is under way.
type slot struct {
	sup  *supervisor
	spec *agentpb.Container

	// Owned by the supervisor's loop.
	stopStart context.CancelFunc
	stopHook  map[lifecycle.Hook]context.CancelFunc

	mu       sync.Mutex
	attempts []*attempt // the latest last
}

func newSlot(s *supervisor, spec *agentpb.Container) *slot {
	return &slot{sup: s, spec: spec, stopHook: map[lifecycle.Hook]context.CancelFunc{}}
}

// slots are the places of all containers.
type slots struct {
	mu  sync.Mutex
	all map[string]*slot
}

// add takes a slot in, unless there is one of that container's name already.
func (s *slots) add(one *slot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.all[one.spec.Name] != nil
	if !taken {
		s.all[one.spec.Name] = one
	}
	return !taken
}

// get finds a container's slot; nil if there is none.
func (s *slots) get(container string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[container]
}

func (s *slots) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.all))
}

// start runs an attempt from its start to the last of it.
func (s *slot) start(ref lifecycle.Ref) {
	ctx, cancel := context.WithCancel(s.sup.ctx)
	s.stopStart = cancel
	go func() {
		defer cancel()
		a, err := s.begin(ctx, ref)
		if err != nil {
			s.sup.opts.Log.Warn("start", "container", ref.Container, "attempt", ref.Attempt, "error", err)
			failure := failureOf(err)
			if failure.ExitCode == startFault && ctx.Err() == nil {
				s.holdForLoss()
			}
			s.sup.post(lifecycle.Started{Ref: ref, Failure: failure})
			return
		}
		s.sup.post(lifecycle.Started{Ref: ref})
		s.await(a)
	}()
}

func (s *slot) abort() { s.stopStart() }

// begin starts the program of a new attempt.
func (s *slot) begin(ctx context.Context, ref lifecycle.Ref) (*attempt, error) {
	a, err := newAttempt(ref, s.spec, s.sup.opts)
	if err != nil {
		return nil, err
	}
	s.keep(a)
	a.record(
		func(at time.Time) { s.sup.post(lifecycle.Wrote{Ref: ref, At: at}) },
		func(err error) {
			s.sup.post(lifecycle.Noticed{Ref: ref, Reason: "LogLost", Message: "Some output could not be kept: " + err.Error()})
		})
	return a, a.start(ctx, s.sup.rt)
}

// keep makes an attempt the latest, and forgets all but the one before.
func (s *slot) keep(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, a)
	for len(s.attempts) > 2 {
		s.attempts[0].forget()
		s.attempts = s.attempts[1:]
	}
}

// find returns a kept attempt, nil if it is not.
func (s *slot) find(number int) *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.attempts {
		if a.Attempt == number {
			return a
		}
	}
	return nil
}

// await waits for the program's end, tells of it, and clears away what is left.
func (s *slot) await(a *attempt) {
	exit, err := a.process.Wait()
	a.end()
	e := lifecycle.Exited{Ref: a.Ref, Exit: exit}
	if err != nil {
		e.Exit, e.Message = runtime.Exit{Code: 255}, "the runtime lost the program: "+err.Error()
	}
	e.LastWords = a.lastWords(exit)
	if err != nil || exit.Signal == int(syscall.SIGKILL) && !a.doomed.Load() {
		s.holdForLoss()
	}
	s.sup.post(e)
	s.letTell()
	ctx, cancel := context.WithTimeout(s.sup.ctx, clearTimeout)
	defer cancel()
	if err := a.process.Delete(ctx); err != nil {
		s.sup.opts.Log.Warn("clear", "container", a.Container, "attempt", a.Attempt, "error", err)
	}
	s.sup.post(lifecycle.Cleared{Ref: a.Ref})
}

// letTell gives the end of the workload, if that has come, the time to be told before
// what is left of it takes the processor.
func (s *slot) letTell() {
	s.sup.post(lifecycle.Tick{}) // is taken when what was posted before it is done
	if state, _ := s.sup.board.look(); !state.Finished {
		return
	}
	_ = pause(s.sup.ctx, tellTime) // cut short by the agent's end
}

// holdForLoss gives the loss of the sandbox the time to be seen.
func (s *slot) holdForLoss() {
	select {
	case <-s.sup.rt.Lost():
	case <-time.After(lossDelay):
	case <-s.sup.ctx.Done():
	}
}

// signal sends the machine's signals.
func (s *slot) signal(sig lifecycle.Signal) {
	a := s.find(sig.Attempt)
	if a == nil || a.process == nil {
		return
	}
	a.doomed.Store(true)
	ctx, cancel := context.WithTimeout(s.sup.ctx, clearTimeout)
	defer cancel()
	err := a.process.Signal(ctx, sig.Signal, sig.All)
	if err != nil && a.alive.Err() == nil {
		s.sup.opts.Log.Warn("signal", "container", a.Container, "signal", sig.Signal, "error", err)
	}
}

// failureOf tells apart why a program did not start, as docker's exit codes do.
func failureOf(err error) *lifecycle.Failure {
	return &lifecycle.Failure{ExitCode: startCode(err), Message: messageOf(err)}
}

func startCode(err error) int {
	text := err.Error()
	contains := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case errors.Is(err, syscall.ENOENT) || contains("no such file or directory") || contains("not found"):
		return 127
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOEXEC) || errors.Is(err, syscall.EISDIR) ||
		contains("permission denied") || contains("exec format error") || contains("is a directory"):
		return 126
	}
	return startFault
}

// messageOf is an error's text for users.
func messageOf(err error) string {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Error()
	}
	return err.Error()
}
