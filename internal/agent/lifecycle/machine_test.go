package lifecycle

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// play is a machine and a clock for scenarios that are written out.
type play struct {
	*testing.T
	m    *Machine
	now  time.Time
	done []Action
}

var (
	hook   = &api.Handler{Exec: &api.ExecAction{Command: []string{"hook"}}}
	always = agentpb.Workload{ID: "w", RestartPolicy: api.RestartAlways, GracePeriod: 10 * time.Second}
)

func start(t *testing.T, w agentpb.Workload, cs ...agentpb.Container) *play {
	w.Containers = cs
	p := &play{T: t, m: New(&w), now: epoch}
	p.step(Begin{})
	return p
}

func (p *play) step(e Event) { p.done = append(p.done, p.m.Step(p.now, e)...) }

// pass lets time go by, with every tick on the way.
func (p *play) pass(d time.Duration) {
	end := p.now.Add(d)
	for wake := p.m.Wake(); !wake.IsZero() && !wake.After(end); wake = p.m.Wake() {
		p.now = latest(p.now, wake)
		p.step(Tick{})
	}
	p.now = end
}

// did takes the actions since the last call, in words.
func (p *play) did() string {
	var words []string
	for _, a := range p.done {
		words = append(words, fmt.Sprintf("%s%v", reflect.TypeOf(a).Name(), a))
	}
	p.done = nil
	return strings.Join(words, " ")
}

func (p *play) want(actions string) {
	p.Helper()
	if got := p.did(); got != actions {
		p.Fatalf("did   %s\nwant  %s", got, actions)
	}
}

func (p *play) ref(name string) Ref { return Ref{name, p.m.byName[name].attempt} }

func (p *play) runs(name string) { p.step(Started{Ref: p.ref(name)}) }

// exits ends a program and clears it away.
func (p *play) exits(name string, code int) {
	ref := p.ref(name)
	p.step(Exited{Ref: ref, Exit: runtime.Exit{Code: code}})
	p.step(Cleared{ref})
}

func (p *play) status(name string) agentpb.ContainerStatus {
	s := p.m.State()
	all := append(s.InitContainers, s.Containers...)
	return all[slices.IndexFunc(all, func(c agentpb.ContainerStatus) bool { return c.Name == name })]
}

// reasons lists the events of a container.
func (p *play) reasons(name string) string {
	var all []string
	for _, e := range p.m.State().Events {
		if e.Container == name {
			all = append(all, e.Reason)
		}
	}
	return strings.Join(all, " ")
}

func TestInitContainersThenMainOnesInOrder(t *testing.T) {
	w := always
	w.InitContainers = []agentpb.Container{{Name: "i"}, {Name: "j"}}
	p := start(t, w, agentpb.Container{Name: "a", Lifecycle: &api.Lifecycle{PostStart: hook}}, agentpb.Container{Name: "b"})
	p.want("Start{{i 0}}")
	p.runs("i")
	p.exits("i", 1)
	p.want("Start{{i 1}}")
	p.runs("i")
	if r := p.status("a").State.Waiting.Reason; r != api.ReasonPodInitializing {
		t.Error(r)
	}
	p.exits("i", 0)
	p.want("Start{{j 0}}")
	p.runs("j")
	p.exits("j", 0)
	p.want("Start{{a 0}}")
	p.runs("a")
	p.want("RunHook{{a 0} PostStart}")
	p.step(HookDone{Ref: p.ref("a"), Hook: PostStart})
	p.want("Start{{b 0}}")
	p.runs("b")
	if s := p.m.State(); !s.Containers[0].Ready || !s.Containers[1].Ready || s.InitContainers[0].RestartCount != 1 {
		t.Errorf("%+v", s)
	}
}

func TestFailedInitContainerEndsTheInstance(t *testing.T) {
	w := always
	w.RestartPolicy = api.RestartNever
	w.InitContainers = []agentpb.Container{{Name: "i"}, {Name: "j"}}
	p := start(t, w, agentpb.Container{Name: "a"})
	p.runs("i")
	p.exits("i", 3)
	if !p.m.Finished() || p.status("a").State.Waiting == nil || p.status("i").State.Terminated.ExitCode != 3 {
		t.Errorf("%+v", p.m.State())
	}
}

func TestBackOff(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a", RestartCount: 4})
	p.want("Start{{a 4}}")
	for i, want := range []time.Duration{0, 10, 20, 40, 80, 160, 300, 300} {
		p.runs("a")
		p.pass(time.Second)
		p.exits("a", 1)
		if want > 0 {
			w := p.status("a").State.Waiting
			if w.Reason != api.ReasonCrashLoopBackOff || w.Message != fmt.Sprintf("back-off %s restarting failed container", want*time.Second) {
				t.Errorf("%+v", w)
			}
			p.pass(want*time.Second - 1)
			p.want("")
			p.pass(1)
		}
		p.want(fmt.Sprintf("Start{{a %d}}", 5+i))
		if s := p.status("a"); s.LastState.Terminated.ExitCode != 1 || s.RestartCount != 5+i {
			t.Errorf("%+v", s)
		}
	}
	p.runs("a")
	p.pass(backoffReset + 1)
	p.exits("a", 1)
	p.want("Start{{a 13}}") // a long run: from the beginning
}

func TestRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy   api.RestartPolicy
		code     int
		restarts bool
	}{
		{api.RestartAlways, 0, true}, {api.RestartAlways, 1, true},
		{api.RestartOnFailure, 0, false}, {api.RestartOnFailure, 1, true},
		{api.RestartNever, 0, false}, {api.RestartNever, 1, false},
	} {
		w := always
		w.RestartPolicy = c.policy
		p := start(t, w, agentpb.Container{Name: "a"}, agentpb.Container{Name: "b"})
		p.runs("a")
		p.runs("b")
		p.did()
		p.exits("a", c.code)
		if got := p.did() != ""; got != c.restarts || p.m.Finished() {
			t.Errorf("%+v: restarts %v", c, got)
		}
	}
}

func TestRestartRules(t *testing.T) {
	in := api.ContainerRestartRule{Action: api.ActionRestart, ExitCodes: &api.RestartRuleExitCodes{Operator: api.ExitCodeIn, Values: []int{0, 3}}}
	notIn := in
	notIn.ExitCodes = &api.RestartRuleExitCodes{Operator: api.ExitCodeNotIn, Values: []int{0, 3}}
	for _, c := range []struct {
		init     bool
		policy   api.RestartPolicy
		rule     api.ContainerRestartRule
		code     int
		restarts bool
	}{
		{false, api.RestartNever, in, 3, true}, {false, api.RestartNever, in, 0, true}, {false, api.RestartNever, in, 4, false},
		{false, api.RestartNever, notIn, 3, false}, {false, api.RestartNever, notIn, 4, true},
		{false, api.RestartOnFailure, in, 0, true}, {false, api.RestartOnFailure, in, 4, true},
		{true, api.RestartNever, in, 3, true}, {true, api.RestartNever, in, 4, false}, {true, api.RestartNever, in, 0, false},
	} {
		w, one := always, agentpb.Container{Name: "a", RestartPolicy: c.policy, RestartRules: []api.ContainerRestartRule{c.rule}}
		rest := []agentpb.Container{{Name: "b"}}
		if c.init {
			w.InitContainers = []agentpb.Container{one}
		} else {
			rest = append([]agentpb.Container{one}, rest...)
		}
		p := start(t, w, rest...)
		p.runs("a")
		p.did()
		p.exits("a", c.code)
		if got := strings.Contains(p.did(), "Start{{a 1}}"); got != c.restarts {
			t.Errorf("%+v: restarts %v", c, got)
		}
	}
}

func TestReasons(t *testing.T) {
	for want, e := range map[string]Exited{
		api.ReasonCompleted: {},
		api.ReasonError:     {Exit: runtime.Exit{Code: 2}},
		api.ReasonOOMKilled: {Exit: runtime.Exit{Code: 137, Signal: 9, OOMKilled: true}},
	} {
		w := always
		w.RestartPolicy = api.RestartNever
		p := start(t, w, agentpb.Container{Name: "a"})
		p.runs("a")
		e.Ref = p.ref("a")
		p.step(e)
		got := p.status("a").State.Terminated
		if got.Reason != want || got.ExitCode != e.Code || !p.m.Finished() {
			t.Errorf("%s: %+v", want, got)
		}
	}
}

func TestFailedStart(t *testing.T) {
	w := always
	w.RestartPolicy = api.RestartNever
	p := start(t, w, agentpb.Container{Name: "a"}, agentpb.Container{Name: "b"})
	p.step(Started{Ref: p.ref("a"), Failure: &Failure{127, "no such file"}})
	p.want("Start{{a 0}} Start{{b 0}}")
	got := p.status("a").State.Terminated
	if got.Reason != api.ReasonRunError || got.ExitCode != 127 || got.Message != "no such file" || p.reasons("a") != "Failed" {
		t.Errorf("%+v %s", got, p.reasons("a"))
	}
}

func TestProbesHoldEachOtherBack(t *testing.T) {
	c := agentpb.Container{
		Name:           "a",
		StartupProbe:   &api.Probe{Handler: *hook, PeriodSeconds: 5, InitialDelaySeconds: 3, FailureThreshold: 2},
		LivenessProbe:  &api.Probe{Handler: *hook, FailureThreshold: 2, PeriodSeconds: 1},
		ReadinessProbe: &api.Probe{Handler: *hook, SuccessThreshold: 2, FailureThreshold: 1, PeriodSeconds: 2},
	}
	p := start(t, always, c)
	p.runs("a")
	p.did()
	answer := func(kind ProbeKind, ok bool) {
		p.step(Probed{Ref: p.ref("a"), Kind: kind, OK: ok, Message: "why"})
	}
	p.pass(2 * time.Second)
	p.want("")
	p.pass(time.Second)
	p.want("Probe{{a 0} Startup}")
	p.pass(9 * time.Second)
	p.want("") // one question at a time
	answer(Startup, false)
	p.pass(5 * time.Second)
	p.want("Probe{{a 0} Startup}")
	if s := p.status("a"); s.Started || s.Ready {
		t.Errorf("%+v", s)
	}
	answer(Startup, true)
	p.want("Probe{{a 0} Liveness} Probe{{a 0} Readiness}")
	answer(Readiness, true)
	if s := p.status("a"); !s.Started || s.Ready {
		t.Errorf("%+v", s)
	}
	p.pass(2 * time.Second)
	p.want("Probe{{a 0} Readiness}")
	answer(Readiness, true)
	if !p.status("a").Ready {
		t.Error("not ready")
	}
	answer(Liveness, false)
	p.pass(time.Second)
	answer(Liveness, true)
	p.pass(time.Second)
	answer(Liveness, false)
	p.pass(time.Second)
	p.did()
	answer(Liveness, false)
	p.want("Signal{{a 0} 15 false}")
	if p.status("a").Ready {
		t.Error("ready while it is killed")
	}
	p.pass(10 * time.Second)
	p.want("Signal{{a 0} 9 true}")
	p.exits("a", 137)
	p.want("Start{{a 1}}")
	want := "Created Started Unhealthy Unhealthy Unhealthy Unhealthy Killing"
	if got := p.reasons("a"); got != want {
		t.Error(got)
	}
}

func TestFailedLivenessRestartsWhateverTheExitCode(t *testing.T) {
	w := always
	w.RestartPolicy = api.RestartOnFailure
	p := start(t, w, agentpb.Container{Name: "a", LivenessProbe: &api.Probe{Handler: *hook, FailureThreshold: 1}})
	p.runs("a")
	p.step(Probed{Ref: p.ref("a"), Kind: Liveness})
	p.did()
	p.exits("a", 0)
	p.want("Start{{a 1}}")
}

// A restart that was asked for is graceful, comes once and at once, and not where the policy
// rules it out.
func TestRestart(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a", RestartPolicy: api.RestartOnFailure, Lifecycle: &api.Lifecycle{PreStop: hook}},
		agentpb.Container{Name: "b", RestartPolicy: api.RestartNever})
	p.runs("a")
	p.runs("b")
	p.did()
	for attempt := range 3 {
		ref := Ref{"a", attempt}
		p.step(Restart{ref})
		p.step(Restart{ref})
		p.step(Restart{Ref{"b", 0}})
		p.want(fmt.Sprintf("RunHook{{a %d} PreStop}", attempt))
		p.step(HookDone{Ref: ref, Hook: PreStop})
		p.want(fmt.Sprintf("Signal{{a %d} 15 false}", attempt))
		p.exits("a", 0)
		p.want(fmt.Sprintf("Start{{a %d}}", attempt+1))
		p.step(Restart{ref})
		p.runs("a")
		p.step(Restart{ref})
		p.want("")
	}
	if s := p.status("a"); s.RestartCount != 3 || p.status("b").State.Running == nil {
		t.Errorf("%+v", s)
	}
}

func TestGraceOfAProbe(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a",
		LivenessProbe: &api.Probe{Handler: *hook, FailureThreshold: 1, TerminationGracePeriodSeconds: new(int64(3))}})
	p.runs("a")
	p.step(Probed{Ref: p.ref("a"), Kind: Liveness})
	p.did()
	p.pass(3*time.Second - 1)
	p.want("")
	p.pass(1)
	p.want("Signal{{a 0} 9 true}")
}

func TestPreStopWithinTheGracePeriod(t *testing.T) {
	c := agentpb.Container{Name: "a", StopSignal: 3, Lifecycle: &api.Lifecycle{PreStop: hook}}
	p := start(t, always, c, agentpb.Container{Name: "b"})
	p.runs("a")
	p.runs("b")
	p.did()
	p.step(Stop{Grace: 10 * time.Second, Message: "by the user"})
	p.want("RunHook{{a 0} PreStop} Signal{{b 0} 15 false}")
	p.pass(4 * time.Second)
	p.step(HookDone{Ref: p.ref("a"), Hook: PreStop, Err: errors.New("exit code 1")})
	p.want("Signal{{a 0} 3 false}")
	p.exits("b", 0)
	p.pass(6*time.Second - 1)
	p.want("")
	p.pass(1)
	p.want("Signal{{a 0} 9 true}")
	p.exits("a", 137)
	s := p.m.State()
	if !s.Finished || s.Reason != api.ReasonStopped || s.Message != "by the user" {
		t.Errorf("%+v", s)
	}
	if got := p.reasons("a"); got != "Created Started Killing FailedPreStopHook" {
		t.Error(got)
	}
}

func TestPreStopThatTakesTooLong(t *testing.T) {
	c := agentpb.Container{Name: "a", Lifecycle: &api.Lifecycle{PreStop: hook}}
	p := start(t, always, c)
	p.runs("a")
	p.step(Stop{Grace: 5 * time.Second})
	p.did()
	p.pass(5 * time.Second)
	p.want("CancelHook{{a 0} PreStop} Signal{{a 0} 15 false}")
	p.pass(2 * time.Second)
	p.want("Signal{{a 0} 9 true}")
}

func TestSecondStopShortens(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a", Lifecycle: &api.Lifecycle{PreStop: hook}})
	p.runs("a")
	p.step(Stop{Grace: time.Minute, Message: "first"})
	p.step(Stop{Grace: time.Hour, Message: "longer"})
	p.did()
	p.step(Stop{Grace: 0})
	p.want("CancelHook{{a 0} PreStop} Signal{{a 0} 9 true}")
	p.pass(killAgain)
	p.want("Signal{{a 0} 9 true}") // a kill that did nothing
	p.exits("a", 137)
	if s := p.m.State(); !s.Finished || s.Message != "first" {
		t.Errorf("%+v", s)
	}
}

func TestStopDuringStart(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a"})
	p.step(Stop{Grace: 5 * time.Second})
	p.did()
	p.pass(5 * time.Second)
	p.want("Abort{{a 0}}")
	p.runs("a") // too late to abort
	p.want("Signal{{a 0} 9 true}")
	p.exits("a", 137)
	if !p.m.Finished() {
		t.Error("not finished")
	}
}

func TestStopDuringBackOffShowsTheLastRun(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a"})
	for code := 1; code <= 2; code++ {
		p.runs("a")
		p.exits("a", code)
	}
	p.step(Stop{Grace: time.Hour})
	s := p.status("a")
	if !p.m.Finished() || s.State.Terminated.ExitCode != 2 || s.LastState.Terminated.ExitCode != 1 {
		t.Errorf("%+v", s)
	}
}

func TestStopDuringPostStart(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a", Lifecycle: &api.Lifecycle{PostStart: hook}}, agentpb.Container{Name: "b"})
	p.runs("a")
	p.did()
	p.step(Stop{Grace: time.Minute})
	p.want("CancelHook{{a 0} PostStart} Signal{{a 0} 15 false}")
	p.exits("a", 0)
	if !p.m.Finished() || p.status("b").State.Waiting == nil {
		t.Errorf("%+v", p.m.State())
	}
}

func TestFailedPostStartHookRestarts(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a", Lifecycle: &api.Lifecycle{PostStart: hook}})
	p.runs("a")
	p.step(HookDone{Ref: p.ref("a"), Hook: PostStart, Err: errors.New("exit code 4")})
	p.did()
	p.exits("a", 143)
	p.want("Start{{a 1}}")
	last := p.status("a").LastState.Terminated
	if last.Reason != api.ReasonPostStartError || !strings.Contains(last.Message, "exit code 4") {
		t.Errorf("%+v", last)
	}
}

func TestDeadline(t *testing.T) {
	w := always
	w.Deadline = epoch.Add(time.Minute)
	p := start(t, w, agentpb.Container{Name: "a"})
	p.runs("a")
	p.did()
	p.pass(time.Minute)
	p.want("Signal{{a 0} 15 false}")
	p.step(Stop{Grace: time.Second, Message: "later"})
	p.exits("a", 0)
	if s := p.m.State(); !s.Finished || s.Reason != api.ReasonDeadlineExceeded {
		t.Errorf("%+v", s)
	}
}

func TestLostSandbox(t *testing.T) {
	for _, oom := range []bool{false, true} {
		p := start(t, always, agentpb.Container{Name: "a"}, agentpb.Container{Name: "b"}, agentpb.Container{Name: "c"})
		p.runs("a")
		p.exits("a", 1)
		p.runs("a")
		p.exits("a", 1) // now in back-off
		p.runs("b")
		p.did()
		p.step(Lost{runtime.Loss{OOMKilled: oom, Message: "killed"}})
		p.want("Abort{{c 0}}")
		reason := api.ReasonSandboxLost
		if oom {
			reason = api.ReasonOOMKilled
		}
		s := p.m.State()
		b := s.Containers[1].State.Terminated
		if !s.Finished || !s.SandboxLost || s.Reason != reason || s.Message != "killed" || b.Reason != reason || b.ExitCode != 137 {
			t.Errorf("%+v", s)
		}
		if s.Containers[0].State.Terminated.ExitCode != 1 {
			t.Errorf("%+v", s.Containers[0])
		}
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	p := start(t, always, agentpb.Container{Name: "a"})
	p.step(Started{Ref: p.ref("a"), Failure: &Failure{128, strings.Repeat("é", 5000)}})
	for _, e := range p.m.State().Events {
		if len(e.Message) > maxMessage+3 || !strings.HasPrefix(e.Message, "Error: é") {
			t.Errorf("%d bytes", len(e.Message))
		}
	}
	for range 2 * maxEvents {
		p.step(Noticed{Ref: p.ref("a"), Reason: "X"})
	}
	es := p.m.State().Events
	if len(es) != maxEvents || es[len(es)-1].Seq < 2*maxEvents || es[0].Seq != es[len(es)-1].Seq-maxEvents+1 {
		t.Errorf("%d events up to %d", len(es), es[len(es)-1].Seq)
	}
}
