package agent_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/journal"
)

// rig is an agent on a fake runtime, with a client over a real socket.
type rig struct {
	*testing.T
	rt     *runtimetest.Runtime
	client *agentclient.Client
	dial   func() net.Conn
	dir    string
}

func newRig(t *testing.T, change ...func(*agent.Options)) *rig {
	t.Helper()
	rt, dir := runtimetest.New(), t.TempDir()
	o := agent.Options{StateDir: dir, ProbeHost: "127.0.0.1"}
	for _, f := range change {
		f(&o)
	}
	path := filepath.Join(dir, "agent.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := agent.New(t.Context(), rt, o)
	served := make(chan error, 1)
	go func() { served <- a.Serve(l) }()
	r := &rig{T: t, rt: rt, dir: dir, dial: func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}}
	r.client = agentclient.New(r.dial())
	t.Cleanup(func() {
		r.client.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func container(args ...string) agentpb.Container {
	return agentpb.Container{Name: "main", Args: args, StopSignal: 15}
}

// run starts a workload of these containers.
func (r *rig) run(policy api.RestartPolicy, cs ...agentpb.Container) {
	r.Helper()
	r.runWorkload(&agentpb.Workload{ID: "w", RestartPolicy: policy, Containers: cs, GracePeriod: time.Second})
}

func (r *rig) runWorkload(w *agentpb.Workload) {
	r.Helper()
	if err := r.client.Run(r.Context(), w); err != nil {
		r.Fatal(err)
	}
}

// until watches until the state, with all events, is as wanted.
func (r *rig) until(what string, holds func(agentpb.State) bool) agentpb.State {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	var last agentpb.State
	for s, err := range r.client.Watch(ctx, 0) {
		if err != nil {
			r.Fatalf("waiting for %s: %v, at %+v", what, err, last)
		}
		s.Events = append(last.Events, s.Events...)
		if last = s; holds(s) {
			break
		}
	}
	return last
}

func running(s agentpb.State) bool {
	return len(s.Containers) > 0 && s.Containers[0].State.Running != nil
}

func finished(s agentpb.State) bool { return s.Finished }

// logs collects an attempt's output until it is complete.
func (r *rig) logs(container string, attempt int) (stdout, stderr string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	var out [3]bytes.Buffer
	err := r.client.Logs(ctx, container, attempt, 0, func(c journal.Chunk) error {
		for e := range c.Entries() {
			out[e.Stream].Write(e.Data)
		}
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return out[1].String(), out[2].String()
}

func code(t *testing.T, want api.Code, err error) {
	t.Helper()
	if api.CodeOf(err) != want {
		t.Errorf("error is %v, not %s", err, want)
	}
}

func TestRunToTheEnd(t *testing.T) {
	r := newRig(t)
	if s := r.until("the first state", func(agentpb.State) bool { return true }); s.WorkloadID != "" {
		t.Errorf("%+v", s)
	}
	r.run(api.RestartNever, container("echo", "hello", "world"))
	s := r.until("the end", finished)
	if !r.rt.Settled() {
		t.Error("it has ended, and its disks are not settled")
	}
	c := s.Containers[0]
	if c.State.Terminated.Reason != api.ReasonCompleted || c.FirstOutput.IsZero() || s.WorkloadID != "w" {
		t.Errorf("%+v", s)
	}
	if out, _ := r.logs("main", 0); out != "hello world\n" {
		t.Errorf("%q", out)
	}
}

func TestRunIsIdempotent(t *testing.T) {
	r := newRig(t)
	code(t, api.Conflict, r.client.Stop(t.Context(), 0, ""))
	r.rt.FailPrepare(errors.New("no room"))
	w := &agentpb.Workload{ID: "w", Containers: []agentpb.Container{container("sleep")}}
	code(t, api.Internal, r.client.Run(t.Context(), w))
	r.rt.FailPrepare(nil)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { r.runWorkload(w) })
	}
	wg.Wait()
	r.until("running", running)
	if n, err := r.client.Stats(t.Context()); n.GetPids() != 1 || err != nil {
		t.Error(n, err)
	}
	code(t, api.Conflict, r.client.Run(t.Context(), &agentpb.Workload{ID: "other", Containers: w.Containers}))
	code(t, api.Invalid, r.client.Run(t.Context(), &agentpb.Workload{ID: "w"}))
	bad := container("x")
	bad.Name = "../x"
	code(t, api.Invalid, r.client.Run(t.Context(), &agentpb.Workload{ID: "w", Containers: []agentpb.Container{bad}}))
}

func TestInitContainersAndSeveralMainOnes(t *testing.T) {
	r := newRig(t)
	named := func(name string, args ...string) agentpb.Container {
		return agentpb.Container{Name: name, Args: args}
	}
	r.runWorkload(&agentpb.Workload{
		ID: "w", RestartPolicy: api.RestartOnFailure,
		InitContainers: []agentpb.Container{named("i1", "echo", "one"), named("i2", "echo", "two")},
		Containers:     []agentpb.Container{named("a", "exit", "0"), named("b", "sleep", "300")},
	})
	s := r.until("the end", finished)
	if s.Containers[0].State.Terminated.FinishedAt.After(s.Containers[1].State.Terminated.FinishedAt) {
		t.Errorf("%+v", s)
	}
	if one, _ := r.logs("i1", 0); one != "one\n" {
		t.Error(one)
	}
	if s.InitContainers[1].State.Terminated.FinishedAt.After(s.Containers[0].State.Terminated.StartedAt) {
		t.Error("init containers after main ones")
	}
}

func TestRestartKeepsTheLastTwoAttempts(t *testing.T) {
	r := newRig(t)
	n := 0
	r.rt.Handle("count", func(p *runtimetest.Proc) int {
		n++
		p.Stdout.WriteString(string(rune('0'+n)) + "\n")
		return 1
	})
	c := container("count")
	c.RestartCount = 7 // carried over from an earlier sandbox
	r.run(api.RestartAlways, c)
	s := r.until("back-off", func(s agentpb.State) bool {
		return s.Containers[0].State.Waiting != nil && s.Containers[0].State.Waiting.Reason == api.ReasonCrashLoopBackOff
	})
	if c := s.Containers[0]; c.RestartCount != 8 || c.LastState.Terminated.ExitCode != 1 {
		t.Errorf("%+v", c)
	}
	for attempt, want := range map[int]string{7: "1\n", 8: "2\n"} {
		if out, _ := r.logs("main", attempt); out != want {
			t.Errorf("attempt %d: %q", attempt, out)
		}
	}
	err := r.client.Logs(t.Context(), "main", 9, 0, nil)
	code(t, api.NotFound, err)
	code(t, api.NotFound, r.client.Logs(t.Context(), "other", 0, 0, nil))
	code(t, api.Invalid, r.client.Logs(t.Context(), "main", 8, 1000, nil))
	if err := r.client.Stop(t.Context(), time.Hour, "enough"); err != nil {
		t.Fatal(err)
	}
	s = r.until("the end", finished)
	if s.Reason != api.ReasonStopped || s.Message != "enough" || s.Containers[0].State.Terminated.ExitCode != 1 {
		t.Errorf("%+v", s)
	}
}

func TestStartFailures(t *testing.T) {
	for args, want := range map[string]int{"missing": 127, "": 128} {
		r := newRig(t)
		c := container()
		if args != "" {
			c.Args = []string{args}
		}
		r.run(api.RestartNever, c)
		got := r.until("the end", finished).Containers[0].State.Terminated
		if got.ExitCode != want || got.Reason != api.ReasonRunError || got.Message == "" {
			t.Errorf("%q: %+v", args, got)
		}
		r.logs("main", 0) // is there, empty and complete
	}
}

func TestStopAsksThenKills(t *testing.T) {
	r := newRig(t)
	stubborn := container("stubborn")
	polite := agentpb.Container{Name: "polite", Args: []string{"graceful", "3"}}
	r.run(api.RestartAlways, stubborn, polite)
	r.until("running", func(s agentpb.State) bool { return running(s) && s.Containers[1].State.Running != nil })
	time.Sleep(50 * time.Millisecond) // for the programs to catch their signals
	began := time.Now()
	if err := r.client.Stop(t.Context(), 400*time.Millisecond, "bye"); err != nil {
		t.Fatal(err)
	}
	s := r.until("the end", finished)
	if took := time.Since(began); took < 400*time.Millisecond || took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	if s.Containers[0].State.Terminated.ExitCode != 137 || s.Containers[1].State.Terminated.ExitCode != 3 {
		t.Errorf("%+v", s.Containers)
	}
	if out, _ := r.logs("main", 0); out != "no 15\n" {
		t.Errorf("%q", out)
	}
}

func TestStopWhileStarting(t *testing.T) {
	r := newRig(t)
	r.rt.DelayStarts(time.Minute)
	r.run(api.RestartAlways, container("sleep"))
	if err := r.client.Stop(t.Context(), 0, ""); err != nil {
		t.Fatal(err)
	}
	r.until("the end", finished)
}

func TestDeadlineExceeded(t *testing.T) {
	r := newRig(t)
	r.runWorkload(&agentpb.Workload{
		ID: "w", Containers: []agentpb.Container{container("sleep")}, Deadline: time.Now().Add(200 * time.Millisecond),
	})
	if s := r.until("the end", finished); s.Reason != api.ReasonDeadlineExceeded {
		t.Errorf("%+v", s)
	}
}

func TestLostSandbox(t *testing.T) {
	r := newRig(t)
	r.run(api.RestartAlways, container("sleep"))
	r.until("running", running)
	r.rt.Lose(runtime.Loss{OOMKilled: true, Message: "out of memory"})
	s := r.until("the end", finished)
	if c := s.Containers[0]; !s.SandboxLost || s.Reason != api.ReasonOOMKilled || c.State.Terminated.Reason != api.ReasonOOMKilled || c.RestartCount != 0 {
		t.Errorf("%+v", s)
	}
	r.logs("main", 0)
}

func TestSandboxLostBeforeTheWorkload(t *testing.T) {
	r := newRig(t)
	r.rt.Lose(runtime.Loss{Message: "crashed"})
	if s := r.until("the loss", func(s agentpb.State) bool { return s.SandboxLost }); s.Message != "crashed" {
		t.Errorf("%+v", s)
	}
	code(t, api.Unavailable, r.client.Run(t.Context(), &agentpb.Workload{ID: "w", Containers: []agentpb.Container{container("sleep")}}))
}

func TestOOMKilledContainerRestarts(t *testing.T) {
	r := newRig(t)
	r.run(api.RestartOnFailure, container("sleep"))
	r.until("running", running)
	r.rt.OOM("main")
	s := r.until("a restart", func(s agentpb.State) bool { return running(s) && s.Containers[0].RestartCount == 1 })
	if last := s.Containers[0].LastState.Terminated; last.Reason != api.ReasonOOMKilled || last.ExitCode != 137 {
		t.Errorf("%+v", last)
	}
}

func TestSignal(t *testing.T) {
	r := newRig(t)
	code(t, api.Conflict, r.client.Signal(t.Context(), "main", 15))
	r.run(api.RestartNever, container("sleep"))
	r.until("running", running)
	code(t, api.NotFound, r.client.Signal(t.Context(), "other", 15))
	code(t, api.Invalid, r.client.Signal(t.Context(), "main", 0))
	if err := r.client.Signal(t.Context(), "", 10); err != nil {
		t.Fatal(err)
	}
	s := r.until("the end", finished)
	if got := s.Containers[0].State.Terminated; got.Signal != 10 || got.ExitCode != 138 {
		t.Errorf("%+v", got)
	}
	code(t, api.Conflict, r.client.Signal(t.Context(), "main", 15))
}

func TestAdd(t *testing.T) {
	r := newRig(t)
	more := &agentpb.Container{Name: "more", Args: []string{"echo", "hi"}}
	if err := r.client.Add(t.Context(), more); api.CodeOf(err) != api.Conflict {
		t.Errorf("before the workload: %v", err)
	}
	r.run(api.RestartAlways, container("sleep"))
	r.until("running", running)
	for range 2 {
		if err := r.client.Add(t.Context(), more); err != nil {
			t.Fatal(err)
		}
	}
	ended := func(s agentpb.State) bool {
		return len(s.EphemeralContainers) == 1 && s.EphemeralContainers[0].State.Terminated != nil
	}
	if s := r.until("the end of what was added", ended); s.Finished || s.EphemeralContainers[0].State.Terminated.ExitCode != 0 {
		t.Errorf("%+v", s)
	}
	if out, _ := r.logs("more", 0); out != "hi\n" {
		t.Errorf("it wrote %q", out)
	}
	if err := r.client.Add(t.Context(), &agentpb.Container{Name: "a/b"}); api.CodeOf(err) != api.Invalid {
		t.Error(err)
	}
	if err := r.client.Stop(t.Context(), 0, "enough"); err != nil {
		t.Fatal(err)
	}
	r.until("finished", finished)
	if err := r.client.Add(t.Context(), &agentpb.Container{Name: "late"}); api.CodeOf(err) != api.Conflict {
		t.Errorf("after the end: %v", err)
	}
}
