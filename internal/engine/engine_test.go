package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

func TestAnInstanceLivesAndDiesWithItsProgram(t *testing.T) {
	b := newBench(t)
	in := b.create(request("a", "echo", "hello"))
	if in.Status.Phase != api.PhasePending || in.Spec.Hostname != "a" {
		t.Errorf("created: %+v", in)
	}
	end, err := b.Wait(t.Context(), "a")
	if err != nil || end.Status.Phase != api.PhaseSucceeded || *end.Status.ExitCode != 0 || end.Status.Ready {
		t.Errorf("ended: %+v, %v", end.Status, err)
	}
	b.untilClean()
	if got := b.output("a"); got != "hello\n" {
		t.Errorf("output %q", got)
	}
	if tm := end.Status.Timings; tm.Total <= 0 || tm.Admission <= 0 || tm.Container <= 0 {
		t.Errorf("timings %+v", tm)
	}
	b.remove("a", false)
	if _, err := b.Get(t.Context(), "a"); api.CodeOf(err) != api.NotFound {
		t.Errorf("after the removal: %v", err)
	}
	if entries, _ := os.ReadDir(b.logDir(in.ID)); len(entries) > 0 {
		t.Error("the logs are left")
	}
	if used, _ := b.networks.subnetOf("").addresses.usage(); used != 0 {
		t.Errorf("%d addresses are left", used)
	}
	if i := b.capacity.info(); i.CPUUsed != 0 || i.MemoryUsed != 0 {
		t.Errorf("capacity left in use: %+v", i)
	}
}

func (b *bench) remove(ref string, force bool) {
	b.t.Helper()
	if err := b.Remove(b.t.Context(), ref, force, nil); err != nil {
		b.t.Fatal(err)
	}
}

func TestAFailureNamesItsContainerAndCode(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "fail", "3", "no", "luck"))
	end := b.untilFinished("a")
	if s := end.Status; s.Phase != api.PhaseFailed || s.Reason != api.ReasonError || *s.ExitCode != 3 || !strings.Contains(s.Message, "main ended with exit code 3") {
		t.Errorf("%+v", s)
	}
}

func TestSidecarsHaveNoSayInTheEnd(t *testing.T) {
	b := newBench(t)
	req := request("a", "sleep", "3000")
	req.InitContainers = []api.Container{req.Containers[0]}
	req.InitContainers[0].Name, req.InitContainers[0].Args = "side", []string{"graceful", "7"}
	req.InitContainers[0].RestartPolicy = api.RestartAlways
	b.create(req)
	b.until("a", "ready", func(in api.Instance) bool { return in.Status.Ready })
	end := b.untilFinished("a")
	side := end.Status.InitContainerStatuses[0].State.Terminated
	if s := end.Status; s.Phase != api.PhaseSucceeded || *s.ExitCode != 0 || side.ExitCode != 7 {
		t.Errorf("%+v, the sidecar %+v", s, side)
	}
}

func TestALostSandboxIsReplacedByPolicy(t *testing.T) {
	b := newBench(t)
	req := request("a", "sleep")
	req.RestartPolicy = api.RestartAlways
	b.create(req)
	before := b.untilRunning("a")
	b.host.only(t).Lose(runtime.Loss{OOMKilled: true, Message: "out of memory"})
	after := b.until("a", "running again", func(in api.Instance) bool {
		return in.Status.Phase == api.PhaseRunning && in.Status.ContainerStatuses[0].RestartCount == 1 && in.Status.ContainerStatuses[0].State.Running != nil
	})
	if after.Status.Address != before.Status.Address {
		t.Errorf("the address was %s and is %s", before.Status.Address, after.Status.Address)
	}
	last := after.Status.ContainerStatuses[0].LastState.Terminated
	if last == nil || last.Reason != api.ReasonOOMKilled || last.ExitCode != 137 {
		t.Errorf("last state %+v", last)
	}
	b.remove("a", true)
	b.untilClean()
}

func TestStatsOfAnInstanceThatEndsMeanwhile(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	b.host.mu.Lock()
	b.host.read = func(id string) {
		_ = b.host.Destroy(t.Context(), id)
		b.untilFinished("a")
	}
	b.host.mu.Unlock()
	if _, err := b.Stats(t.Context(), "a"); api.CodeOf(err) != api.Conflict {
		t.Errorf("the error is %v", err)
	}
}

func TestALostSandboxFailsWithoutPolicy(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	b.host.only(t).Lose(runtime.Loss{OOMKilled: true, Message: "out of memory"})
	end := b.untilFinished("a")
	if s := end.Status; s.Reason != api.ReasonOOMKilled || *s.ExitCode != 137 || s.ContainerStatuses[0].State.Terminated.Reason != api.ReasonOOMKilled {
		t.Errorf("%+v", s)
	}
	b.untilClean()
}

func TestStopDuringTheStart(t *testing.T) {
	b := newBench(t)
	b.host.hold = make(chan struct{})
	b.create(request("a", "sleep"))
	for b.host.countStarts() == 0 {
		time.Sleep(time.Millisecond)
	}
	end, err := b.Stop(t.Context(), "a", nil)
	if err != nil || end.Status.Phase != api.PhaseFailed || end.Status.Reason != api.ReasonStopped {
		t.Errorf("%+v, %v", end.Status, err)
	}
	b.untilClean()
}

func TestAMissingImage(t *testing.T) {
	b := newBench(t)
	req := request("a", "sleep")
	req.Containers[0].Image, req.Containers[0].ImagePullPolicy = "nothing", api.PullNever
	b.create(req)
	if end := b.untilFinished("a"); end.Status.Reason != api.ReasonErrImageNeverPull {
		t.Errorf("%+v", end.Status)
	}
	req.Name, req.RestartPolicy = "b", api.RestartAlways
	b.create(req)
	b.until("b", "backing off", func(in api.Instance) bool {
		w := in.Status.ContainerStatuses[0].State.Waiting
		return w != nil && w.Reason == api.ReasonImagePullBackOff
	})
	b.remove("b", true)
	b.untilClean()
}

func TestADeadlineHoldsBeforeTheStart(t *testing.T) {
	b := newBench(t)
	b.host.hold = make(chan struct{})
	req := request("a", "sleep")
	req.RestartPolicy, req.ActiveDeadlineSeconds = api.RestartAlways, new(int64(1))
	b.create(req)
	if end := b.untilFinished("a"); end.Status.Reason != api.ReasonDeadlineExceeded {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
}

func TestNothingAcknowledgedIsRefusedLater(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	for name, tt := range map[string]struct {
		change func(*api.CreateInstance)
		code   api.Code
		field  string
	}{
		"name taken":      {func(r *api.CreateInstance) { r.Name = "a" }, api.Conflict, "name"},
		"isolation":       {func(r *api.CreateInstance) { r.Isolation = api.IsolationVM }, api.Invalid, "isolation"},
		"pull secret":     {func(r *api.CreateInstance) { r.ImagePullSecrets = []string{"x"} }, api.Invalid, "imagePullSecrets[0]"},
		"too much memory": {func(r *api.CreateInstance) { r.Memory = 8 * api.GiB }, api.Exhausted, ""},
		"secret in volume": {func(r *api.CreateInstance) {
			r.Volumes = []api.Volume{{Name: "v", Secret: &api.SecretVolume{SecretName: "y"}}}
		}, api.Invalid, "volumes[0].secret.secretName"},
	} {
		req := request("b", "sleep")
		tt.change(&req)
		_, _, err := b.Create(t.Context(), req)
		e, ok := errors.AsType[*api.Error](err)
		if !ok || e.Code != tt.code || e.Field != tt.field || e.Next == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n, _ := b.host.left(); n != 1 {
		t.Errorf("%d sandboxes", n)
	}
}

func TestClientTokens(t *testing.T) {
	b := newBench(t)
	req := request("", "echo")
	req.ClientToken = "t"
	first, created, err := b.Create(t.Context(), req)
	if err != nil || !created {
		t.Fatal(err)
	}
	again, created, err := b.Create(t.Context(), req)
	if err != nil || created || again.ID != first.ID {
		t.Errorf("again: %v, %v, %v", again.ID, created, err)
	}
	other := request("", "exit")
	other.ClientToken = "t"
	if _, _, err := b.Create(t.Context(), other); api.CodeOf(err) != api.Conflict {
		t.Errorf("another spec: %v", err)
	}
}

// One token makes one instance, however many ask at once.
func TestClientTokensAtOnce(t *testing.T) {
	b := newBench(t)
	req := request("", "echo")
	req.ClientToken = "t"
	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			in, _, err := b.Create(t.Context(), req)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			ids[in.ID]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("made %v", ids)
	}
	for id := range ids {
		b.untilFinished(id)
		b.untilLifeless(id)
	}
	if i := b.capacity.info(); i.CPUUsed != 0 {
		t.Errorf("capacity left in use: %+v", i)
	}
}

func TestRestartAndStartKeepTheAddress(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	first := b.untilRunning("a")
	if _, err := b.Restart(t.Context(), "a", new(time.Duration)); err != nil {
		t.Fatal(err)
	}
	second := b.untilRunning("a")
	if second.Status.Address != first.Status.Address || second.Status.StartedAt.Equal(*first.Status.StartedAt) {
		t.Errorf("first %+v, second %+v", first.Status, second.Status)
	}
	if _, err := b.Stop(t.Context(), "a", new(time.Duration)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Start(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if third := b.untilRunning("a"); third.Status.Address != first.Status.Address {
		t.Errorf("third %+v", third.Status)
	}
	b.remove("a", true)
	b.untilClean()
}

func TestTTL(t *testing.T) {
	b := newBench(t)
	req := request("a", "exit", "0")
	req.TTLSecondsAfterFinished = new(int64(0))
	b.create(req)
	keep := request("b", "exit", "0")
	keep.TTLSecondsAfterFinished = new(int64(3600))
	b.create(keep)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := b.Get(t.Context(), "a"); api.CodeOf(err) == api.NotFound {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the record is still there")
		}
	}
	b.reopen()
	b.untilFinished("b")
}

// However many start it at once, it has one life.
func TestStartsAtOnce(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	if _, err := b.Stop(t.Context(), "a", new(time.Duration)); err != nil {
		t.Fatal(err)
	}
	before := b.host.countStarts()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := b.Start(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b.untilRunning("a")
	if n := b.host.countStarts() - before; n != 1 {
		t.Errorf("%d sandboxes were started", n)
	}
	b.remove("a", true)
	b.untilClean()
	if i := b.capacity.info(); i.CPUUsed != 0 {
		t.Errorf("capacity left in use: %+v", i)
	}
}

// A stop that comes while a restart is under way is the last word.
func TestStopAfterRestart(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "stubborn"))
	b.untilRunning("a")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	grace := 500 * time.Millisecond
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		_, _ = b.Restart(ctx, "a", &grace) // the stop comes first or not
	}()
	b.until("a", "stopping", func(in api.Instance) bool { return in.Status.Stopping })
	end, err := b.Stop(ctx, "a", new(time.Duration))
	if err != nil || !end.Status.Phase.Finished() {
		t.Errorf("%+v, %v", end.Status, err)
	}
	<-restarted
	b.untilClean()
}

// TestAnAgentIsNotBelieved: whoever takes a VM over speaks for its agent.
func TestAnAgentIsNotBelieved(t *testing.T) {
	b := newBench(t)
	in := b.create(request("a", "sleep"))
	b.untilRunning("a")
	b.Engine.mu.Lock()
	l := b.lives[in.ID]
	b.Engine.mu.Unlock()
	running := api.ContainerState{Running: &api.StateRunning{StartedAt: time.Now()}}
	for _, name := range []string{"../../evil", "other"} {
		l.apply(agentpb.State{Containers: []agentpb.ContainerStatus{{Name: name, State: running}}})
	}
	for _, attempt := range []int{9, 7, 5, 100, 50, 25, 100} {
		l.apply(agentpb.State{Containers: []agentpb.ContainerStatus{{Name: "main", State: running, RestartCount: attempt}}})
	}
	var logs []string
	err := filepath.WalkDir(b.dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".log") {
			logs = append(logs, filepath.Base(path))
		}
		return err
	})
	if want := []string{"main.100.log", "main.99.log"}; err != nil || !slices.Equal(logs, want) {
		t.Errorf("logs %v, want %v: %v", logs, want, err)
	}
}
