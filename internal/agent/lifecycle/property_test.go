package lifecycle

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// world is what a machine acts on: programs, hooks and probes that answer when and
// as chance has it. It checks after every step what must always hold.
type world struct {
	t   *testing.T
	r   *rand.Rand
	m   *Machine
	w   *agentpb.Workload
	now time.Time

	pending map[string]Event // answers to come, by what they answer
	live    map[Ref]bool     // programs that run
	killed  map[Ref]bool
	litter  map[string]bool // containers of which something is left
	passed  map[string]bool // init containers that succeeded or, as sidecars, have started
	stopped bool
	lost    bool
	last    agentpb.State
}

// pick goes through a map from a random place on, the same for the same seed.
func pick[K comparable, V any](w *world, m map[K]V) func(func(K) bool) {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return func(yield func(K) bool) {
		first := 0
		if len(keys) > 0 {
			first = w.r.IntN(len(keys))
		}
		for i := range keys {
			if !yield(keys[(first+i)%len(keys)]) {
				return
			}
		}
	}
}

func randomWorkload(r *rand.Rand) *agentpb.Workload {
	w := &agentpb.Workload{
		ID:            "w",
		RestartPolicy: []api.RestartPolicy{api.RestartAlways, api.RestartNever, api.RestartOnFailure}[r.IntN(3)],
		GracePeriod:   time.Duration(r.IntN(20)) * time.Second,
	}
	if r.IntN(4) == 0 {
		w.Deadline = epoch.Add(time.Duration(r.IntN(600)) * time.Second)
	}
	for i := range r.IntN(4) {
		c := agentpb.Container{Name: fmt.Sprint("init", i), RestartPolicy: randomPolicy(r)}
		if c.RestartPolicy == api.RestartAlways {
			observe(r, &c)
		}
		c.RestartRules = randomRules(r)
		w.InitContainers = append(w.InitContainers, c)
	}
	for i := range 1 + r.IntN(3) {
		c := agentpb.Container{Name: fmt.Sprint("main", i), RestartCount: r.IntN(3), RestartPolicy: randomPolicy(r)}
		c.RestartRules = randomRules(r)
		observe(r, &c)
		w.Containers = append(w.Containers, c)
	}
	return w
}

// randomPolicy of a single container: mostly none.
func randomPolicy(r *rand.Rand) api.RestartPolicy {
	return []api.RestartPolicy{"", "", "", api.RestartAlways, api.RestartAlways, api.RestartNever, api.RestartOnFailure}[r.IntN(7)]
}

// randomRules are mostly none.
func randomRules(r *rand.Rand) []api.ContainerRestartRule {
	if r.IntN(4) > 0 {
		return nil
	}
	operator := []api.RestartRuleOperator{api.ExitCodeIn, api.ExitCodeNotIn}[r.IntN(2)]
	return []api.ContainerRestartRule{{Action: api.ActionRestart, ExitCodes: &api.RestartRuleExitCodes{Operator: operator, Values: []int{r.IntN(3)}}}}
}

// observe gives a container random probes and hooks.
func observe(r *rand.Rand, c *agentpb.Container) {
	handler := api.Handler{Exec: &api.ExecAction{Command: []string{"x"}}}
	maybe := func(p **api.Probe) {
		if r.IntN(3) == 0 {
			*p = &api.Probe{Handler: handler, PeriodSeconds: r.IntN(5), InitialDelaySeconds: r.IntN(4), FailureThreshold: r.IntN(3)}
		}
	}
	maybe(&c.StartupProbe)
	maybe(&c.LivenessProbe)
	maybe(&c.ReadinessProbe)
	if r.IntN(2) == 0 {
		c.Lifecycle = &api.Lifecycle{}
		if r.IntN(2) == 0 {
			c.Lifecycle.PostStart = &handler
		}
		if r.IntN(2) == 0 {
			c.Lifecycle.PreStop = &handler
		}
	}
}

var epoch = time.Unix(1_000_000, 0)

func TestRandomCourses(t *testing.T) {
	for seed := range uint64(3000) {
		ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			w := &world{
				t: t, r: r, w: randomWorkload(r), now: epoch, pending: map[string]Event{},
				live: map[Ref]bool{}, killed: map[Ref]bool{}, litter: map[string]bool{}, passed: map[string]bool{},
			}
			w.m = New(w.w)
			w.step(Begin{})
			for range 150 {
				w.random()
			}
			w.finish()
		})
		if !ok {
			return
		}
	}
}

// random lets one thing happen.
func (w *world) random() {
	switch k := w.r.IntN(100); {
	case k < 45:
		w.answer()
	case k < 80:
		w.pass()
	case k < 81:
		for name := range pick(w, w.m.byName) {
			w.step(Restart{w.m.byName[name].ref()})
			break
		}
	case k < 82:
		w.step(Add{&agentpb.Container{Name: fmt.Sprint("added", w.r.IntN(2))}})
	case k < 96:
		w.exit(w.r.IntN(3) % 2)
	case k < 98:
		w.stop(time.Duration(w.r.IntN(30)) * time.Second)
	case k < 99 && w.r.IntN(5) == 0:
		w.lose()
	default:
		w.stray()
	}
}

// answer delivers one of the pending answers.
func (w *world) answer() {
	for key := range pick(w, w.pending) {
		e := w.pending[key]
		delete(w.pending, key)
		switch a := e.(type) {
		case Started:
			if w.r.IntN(6) == 0 || w.lost {
				a.Failure = &Failure{ExitCode: 128, Message: "no"}
			} else if a.Failure == nil {
				w.live[a.Ref] = true
				w.litter[a.Container] = true
			}
			e = a
		case HookDone:
			if w.r.IntN(3) == 0 {
				a.Err = errors.New("no")
			}
			e = a
		case Probed:
			a.OK = w.r.IntN(3) > 0
			e = a
		case Cleared:
			delete(w.litter, a.Container)
		}
		w.step(e)
		return
	}
}

// pass lets time go on, never past what the machine wants to be woken for.
func (w *world) pass() {
	wake := w.m.Wake()
	if wake.IsZero() {
		w.now = w.now.Add(time.Duration(w.r.IntN(1000)) * time.Second)
		return
	}
	if wake.After(w.now) {
		w.now = wake
	}
	w.step(Tick{})
}

// exit ends one of the programs.
func (w *world) exit(code int) {
	for ref := range pick(w, w.live) {
		if w.killed[ref] {
			code = 137
		}
		delete(w.live, ref)
		if code == 0 && !w.m.byName[ref.Container].sidecar() {
			w.passed[ref.Container] = true
		}
		w.pending["clear "+ref.Container] = Cleared{ref}
		w.step(Exited{Ref: ref, Exit: runtime.Exit{Code: code}})
		return
	}
}

func (w *world) stop(grace time.Duration) {
	w.stopped = true
	w.step(Stop{Grace: grace, Message: "test"})
}

func (w *world) lose() {
	w.lost = true
	clear(w.live)
	w.step(Lost{runtime.Loss{Message: "gone"}})
	if !w.m.Finished() {
		w.t.Fatal("not finished without a sandbox")
	}
}

// stray delivers events of attempts that are over, or never were.
func (w *world) stray() {
	ref := Ref{[]string{"main0", "init0", "other"}[w.r.IntN(3)], 99 - w.r.IntN(2)*100}
	for _, e := range []Event{
		Tick{}, Started{Ref: ref}, Exited{Ref: ref}, Cleared{ref}, HookDone{Ref: ref, Hook: PreStop},
		Probed{Ref: ref, Kind: Liveness}, Wrote{ref, w.now}, Noticed{Ref: ref},
	} {
		w.step(e)
	}
}

// finish stops the workload in a world where programs die when killed.
func (w *world) finish() {
	w.stop(5 * time.Second)
	limit := w.now.Add(3 * time.Minute) // every answer may come late
	for !w.m.Finished() {
		for ref := range pick(w, w.killed) {
			if w.live[ref] {
				w.exit(137)
				break
			}
		}
		if w.m.Finished() {
			break
		}
		if wake := w.m.Wake(); w.r.IntN(2) == 0 && !wake.IsZero() && len(w.pending) > 0 {
			w.answer()
		} else if !wake.IsZero() {
			w.pass()
		} else if len(w.pending) > 0 {
			w.answer()
		} else {
			w.t.Fatal("stuck")
		}
		if w.now.After(limit) {
			w.t.Fatal("a stop takes over three minutes")
		}
	}
	if len(w.live) > 0 {
		w.t.Fatalf("finished while %v run", w.live)
	}
}

// step delivers an event, does the actions, and checks.
func (w *world) step(e Event) {
	wasFinished := w.m.Finished()
	actions := w.m.Step(w.now, e)
	if wasFinished && len(actions) > 0 {
		w.t.Fatalf("actions after the end: %v", actions)
	}
	for _, a := range actions {
		w.act(a)
	}
	w.check()
}

func (w *world) act(a Action) {
	switch a := a.(type) {
	case Start:
		w.mayStart(a.Ref)
		w.pending["start "+a.Container] = Started{Ref: a.Ref}
	case Abort:
		if _, ok := w.pending["start "+a.Container]; ok {
			w.pending["start "+a.Container] = Started{Ref: a.Ref, Failure: &Failure{Message: "aborted"}}
		}
	case Signal:
		if a.Signal == 9 {
			w.killed[a.Ref] = true
		}
		if a.Signal == 0 {
			w.t.Fatal("signal 0")
		}
		w.maySignal(a)
	case RunHook:
		w.pending["hook "+a.Container+string(a.Hook)] = HookDone{Ref: a.Ref, Hook: a.Hook}
	case CancelHook:
		delete(w.pending, "hook "+a.Container+string(a.Hook))
	case Probe:
		if !w.live[a.Ref] {
			w.t.Fatalf("probe of %v, which does not run", a.Ref)
		}
		key := "probe " + a.Container + string(a.Kind)
		if p, ok := w.pending[key].(Probed); ok && p.Ref == a.Ref {
			w.t.Fatalf("%s before its answer", key)
		}
		w.pending[key] = Probed{Ref: a.Ref, Kind: a.Kind, Message: "no"}
	}
}

func (w *world) mayStart(ref Ref) {
	c := w.m.byName[ref.Container]
	w.note(w.m.State())
	switch {
	case w.stopped || w.lost:
		w.t.Fatalf("start of %v after the stop", ref)
	case w.litter[ref.Container]:
		w.t.Fatalf("start of %v before the last attempt was cleared", ref)
	case w.isDone():
		w.t.Fatalf("start of %v after all it is for has ended", ref)
	}
	if c.added {
		if c.starts > 1 {
			w.t.Fatalf("%v is started again", ref)
		}
		return
	}
	for _, before := range w.m.init {
		if before == c {
			break
		}
		if !w.passed[before.spec.Name] {
			w.t.Fatalf("start of %v before %s was done", ref, before.spec.Name)
		}
	}
	if _, ok := w.pending["start "+ref.Container]; ok {
		w.t.Fatalf("start of %v while one is under way", ref)
	}
	for r := range w.live {
		if r.Container == ref.Container {
			w.t.Fatalf("start of %v while %v runs", ref, r)
		}
	}
	if !c.init && c.spec.Name != "main0" && c.starts == 1 {
		for _, before := range w.m.main {
			if before == c {
				break
			}
			if !before.settled {
				w.t.Fatalf("start of %v before %s was settled", ref, before.spec.Name)
			}
		}
	}
}

// note remembers which sidecars have started.
func (w *world) note(s agentpb.State) {
	for _, c := range s.InitContainers {
		if w.m.byName[c.Name].sidecar() && c.Started {
			w.passed[c.Name] = true
		}
	}
}

// isDone tells that no main container runs, or ever will.
func (w *world) isDone() bool {
	return !slices.ContainsFunc(w.m.State().Containers, func(c agentpb.ContainerStatus) bool { return c.State.Terminated == nil })
}

// maySignal checks that at the end of all sidecars are asked to end after those that
// they are for, and after later sidecars, as long as there is time, but for one that was
// ending already.
func (w *world) maySignal(a Signal) {
	c := w.m.byName[a.Container]
	if !c.sidecar() || c.again || !w.m.ending() || !w.now.Before(w.m.killBy) {
		return
	}
	after := w.m.main
	for i, later := range w.m.init {
		if later.sidecar() && slices.Index(w.m.init, c) < i {
			after = append(slices.Clone(after), later)
		}
	}
	for _, other := range after {
		if w.live[other.ref()] {
			w.t.Fatalf("%+v while %s runs", a, other.spec.Name)
		}
	}
}

func (w *world) check() {
	w.t.Helper()
	s := w.m.State()
	w.note(s)
	old := map[string]agentpb.ContainerStatus{}
	for _, c := range slices.Concat(w.last.InitContainers, w.last.Containers, w.last.EphemeralContainers) {
		old[c.Name] = c
	}
	for _, c := range slices.Concat(s.InitContainers, s.Containers, s.EphemeralContainers) {
		members := 0
		for _, set := range []bool{c.State.Waiting != nil, c.State.Running != nil, c.State.Terminated != nil} {
			if set {
				members++
			}
		}
		if members != 1 {
			w.t.Fatalf("%s has %d states", c.Name, members)
		}
		if c.RestartCount < old[c.Name].RestartCount || c.RestartCount > old[c.Name].RestartCount+1 && w.last.WorkloadID != "" {
			w.t.Fatalf("%s went from attempt %d to %d", c.Name, old[c.Name].RestartCount, c.RestartCount)
		}
		if (c.Ready || c.Started) && c.State.Running == nil || c.Ready && !c.Started {
			w.t.Fatalf("%s is ready (%v) or started (%v) in state %+v", c.Name, c.Ready, c.Started, c.State)
		}
		running := w.live[Ref{c.Name, c.RestartCount}]
		if (c.State.Running != nil) != running {
			w.t.Fatalf("%s is said to run: %v; it does: %v", c.Name, c.State.Running != nil, running)
		}
		if running && w.last.Finished || s.Finished && running {
			w.t.Fatalf("%s runs after the end", c.Name)
		}
	}
	if w.last.Finished && !s.Finished {
		w.t.Fatal("not finished any more")
	}
	if len(s.Events) > maxEvents {
		w.t.Fatalf("%d events", len(s.Events))
	}
	if !s.Finished && len(w.live) == 0 && len(w.pending) == 0 && w.m.Wake().IsZero() {
		w.t.Fatal("nothing runs, nothing is awaited, and it is not over")
	}
	w.last = s
}
