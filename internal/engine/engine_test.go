package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/runtime"
	"cis/internal/machine"
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
	if used, _ := b.addresses.usage(); used != 0 {
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

func TestARestartOfTheServerStopsNothing(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	before := b.untilRunning("a")
	b.reopen()
	after := b.untilRunning("a")
	if !after.Status.StartedAt.Equal(*before.Status.StartedAt) || after.Status.Address != before.Status.Address {
		t.Errorf("before %+v, after %+v", before.Status, after.Status)
	}
	code, err := b.exec("a", "echo", "still", "here")
	if err != nil || code != "still here\n0" {
		t.Errorf("exec: %q, %v", code, err)
	}
	if end, err := b.Stop(t.Context(), "a", new(time.Duration)); err != nil || end.Status.Reason != api.ReasonStopped {
		t.Errorf("stop: %+v, %v", end.Status, err)
	}
	b.untilClean()
}

func (b *bench) exec(ref string, args ...string) (string, error) {
	b.t.Helper()
	var out bytes.Buffer
	// The connection to the agent comes a moment after the record.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		code, err := b.Exec(b.t.Context(), ref, api.ExecRequest{Command: args}, api.Streams{Stdout: &out})
		if api.CodeOf(err) == api.Conflict && time.Now().Before(end) {
			continue
		}
		return fmt.Sprintf("%s%d", out.String(), code), err
	}
}

func TestAnEndDuringAbsenceIsFound(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep", "300"))
	b.untilRunning("a")
	b.close()
	time.Sleep(500 * time.Millisecond)
	b.open()
	if end := b.untilFinished("a"); end.Status.Phase != api.PhaseSucceeded {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
}

func TestACreateCutOffIsFinished(t *testing.T) {
	b := newBench(t)
	b.host.hold = make(chan struct{})
	b.create(request("a", "echo", "hello"))
	for b.host.countStarts() == 0 {
		time.Sleep(time.Millisecond)
	}
	b.close()
	b.host.mu.Lock()
	b.host.hold = nil
	b.host.mu.Unlock()
	b.open()
	if end := b.untilFinished("a"); end.Status.Phase != api.PhaseSucceeded {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
	if got := b.output("a"); got != "hello\n" {
		t.Errorf("output %q", got)
	}
}

func (h *host) countStarts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts
}

func TestASandboxLostWhileAwayFailsWithItsReason(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	b.close()
	ids, _ := b.host.List(t.Context())
	b.host.Destroy(t.Context(), ids[0])
	b.open()
	end := b.untilFinished("a")
	if end.Status.Phase != api.PhaseFailed || end.Status.Reason != api.ReasonSandboxLost || *end.Status.ExitCode != 137 {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
}

func TestStrangersAreRemoved(t *testing.T) {
	b := newBench(t)
	b.close()
	if err := b.host.Start(t.Context(), machine.Sandbox{ID: "s-0123456789ab"}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(b.logDir("i-gone"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.untilClean()
	if _, err := os.Stat(b.logDir("i-gone")); !os.IsNotExist(err) {
		t.Errorf("logs of nobody are left: %v", err)
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

func TestRemoveAfterTheEnd(t *testing.T) {
	b := newBench(t)
	req := request("a", "echo", "x")
	req.RemoveAfter = true
	in := b.create(req)
	var out bytes.Buffer
	code, err := b.Attach(t.Context(), in.ID, "", true, api.Streams{Stdout: &out})
	if err != nil || code != 0 || out.String() != "x\n" {
		t.Errorf("attach: %d, %v, %q", code, err, out.String())
	}
	if _, err := b.Get(t.Context(), "a"); api.CodeOf(err) != api.NotFound {
		t.Errorf("the record is still there: %v", err)
	}
	b.untilClean()
	// Who comes late, as a client under load does, still gets it all.
	out.Reset()
	code, err = b.Attach(t.Context(), in.ID, "", true, api.Streams{Stdout: &out})
	if err != nil || code != 0 || out.String() != "x\n" {
		t.Errorf("late attach: %d, %v, %q", code, err, out.String())
	}
	if end, err := b.Wait(t.Context(), in.ID); err != nil || end.Status.Phase != api.PhaseSucceeded {
		t.Errorf("late wait: %+v, %v", end.Status, err)
	}
}

// A stop keeps its grace period over a restart of the server.
func TestStopOverARestart(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "stubborn"))
	b.untilRunning("a")
	grace := 2 * time.Second
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	go b.Stop(ctx, "a", &grace)
	b.until("a", "stopping", func(in api.Instance) bool { return in.Status.Stopping })
	cancel()
	b.reopen()
	end := b.untilFinished("a")
	if took := time.Since(began); took < grace || end.Status.Reason != api.ReasonStopped || *end.Status.ExitCode != 137 {
		t.Errorf("after %s: %+v", took, end.Status)
	}
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

func TestAttachWithInput(t *testing.T) {
	b := newBench(t)
	req := request("a", "cat")
	req.Containers[0].Stdin, req.Containers[0].StdinOnce = true, true
	b.create(req)
	var out bytes.Buffer
	code, err := b.Attach(t.Context(), "a", "", true, api.Streams{Stdin: strings.NewReader("in and out"), Stdout: &out})
	if err != nil || code != 0 || out.String() != "in and out" {
		t.Errorf("%d, %v, %q", code, err, out.String())
	}
}

func TestAttachToWhatNeverRan(t *testing.T) {
	b := newBench(t)
	req := request("a", "x")
	req.Containers[0].Image, req.Containers[0].ImagePullPolicy = "nothing", api.PullNever
	b.create(req)
	_, err := b.Attach(t.Context(), "a", "", true, api.Streams{Stdout: io.Discard})
	if err == nil || !strings.Contains(err.Error(), api.ReasonErrImageNeverPull) {
		t.Errorf("got %v", err)
	}
}

func TestLogsFollowAndPrevious(t *testing.T) {
	b := newBench(t)
	req := request("a", "fail", "1", "once")
	req.RestartPolicy = api.RestartOnFailure
	b.create(req)
	ctx, cancel := context.WithCancel(t.Context())
	var got bytes.Buffer
	err := b.Logs(ctx, "a", api.LogOptions{Tail: -1, Follow: true}, func(e api.LogEntry) error {
		if got.Write(e.Data); strings.Count(got.String(), "once") == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || got.String() != "once\nonce\n" {
		t.Errorf("followed %q, %v", got.String(), err)
	}
	var previous bytes.Buffer
	err = b.Logs(t.Context(), "a", api.LogOptions{Tail: -1, Previous: true}, func(e api.LogEntry) error {
		previous.Write(e.Data)
		return nil
	})
	if err != nil || previous.String() != "once\n" {
		t.Errorf("previous %q, %v", previous.String(), err)
	}
	b.remove("a", true)
}

func TestWatch(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	done := errors.New("done")
	var seen []string
	start := make(chan struct{}, 1)
	go func() {
		<-start
		b.create(request("b", "exit", "0"))
		b.untilFinished("b")
		b.untilLifeless("b")
		b.remove("b", false)
	}()
	err := b.Watch(t.Context(), api.ListOptions{}, 0, func(ev api.WatchEvent[api.Instance]) error {
		if ev.Object.Spec.Name == "a" {
			start <- struct{}{}
		}
		what := ev.Type + " " + ev.Object.Spec.Name + " " + string(ev.Object.Status.Phase)
		if len(seen) == 0 || seen[len(seen)-1] != what {
			seen = append(seen, what)
		}
		if ev.Type == api.WatchDeleted {
			return done
		}
		return nil
	})
	if err != done {
		t.Fatal(err)
	}
	want := "[ADDED a Running ADDED b Pending MODIFIED b Pending MODIFIED b Running MODIFIED b Succeeded DELETED b Succeeded]"
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("saw %s", got)
	}
}

func (b *bench) untilLifeless(ref string) {
	for b.life(mustID(b, ref)) != nil {
		time.Sleep(time.Millisecond)
	}
}

func mustID(b *bench, ref string) string {
	in, _ := b.Get(context.Background(), ref)
	return in.ID
}

func TestStandby(t *testing.T) {
	shapes := StandbyConfig{Shapes: []StandbyShape{{CPU: 500, Memory: 256 * api.MiB, Count: 2}}, MaxMemory: api.GiB}
	b := newBench(t, func(c *Config) { c.Standby = shapes })
	b.untilReady(2)
	b.create(request("a", "sleep"))
	in := b.untilRunning("a")
	if !in.Status.Standby {
		t.Error("not from the pool")
	}
	other := request("b", "sleep")
	other.Memory = 128 * api.MiB
	b.create(other)
	if in := b.untilRunning("b"); in.Status.Standby {
		t.Error("another size came from the pool")
	}
	b.untilReady(2)
	b.reopen()
	b.untilReady(2)
	if n, _ := b.host.left(); n != 4 {
		t.Errorf("%d sandboxes after a restart: the waiting ones are to be taken up", n)
	}
	// What instances need, the pool gives back.
	big := request("c", "sleep")
	big.Memory = b.capacity.free() - 40*api.MiB
	b.create(big)
	b.untilRunning("c")
	b.untilReady(0)
	for _, name := range []string{"a", "b", "c"} {
		b.remove(name, true)
	}
	b.untilReady(2)
}

func (b *bench) untilReady(n int) {
	b.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		info := b.pool.info()[0]
		if info.Ready == n {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("the pool has %+v, want %d", info, n)
		}
	}
}

func TestAStandbySandboxThatDiesIsReplaced(t *testing.T) {
	shapes := StandbyConfig{Shapes: []StandbyShape{{CPU: 500, Memory: 256 * api.MiB, Count: 1}}, MaxMemory: api.GiB}
	b := newBench(t, func(c *Config) { c.Standby = shapes })
	b.untilReady(1)
	b.host.only(t).cancel()
	for b.host.countStarts() < 2 {
		time.Sleep(time.Millisecond)
	}
	b.untilReady(1)
}

// Whatever is asked of instances in whatever order, and however often the server
// restarts: in the end nothing is left on the host, and every record is at an end.
func TestRandomLives(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	b := newBench(t, func(c *Config) {
		c.Standby = StandbyConfig{Shapes: []StandbyShape{{CPU: 500, Memory: 256 * api.MiB, Count: 1}}, MaxMemory: api.GiB}
	})
	zero := new(time.Duration)
	for range 120 {
		name := fmt.Sprintf("n%d", r.IntN(6))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		what := r.IntN(9)
		switch what {
		case 0, 1, 2:
			req := request(name, []string{"sleep", "exit", "echo", "graceful"}[r.IntN(4)])
			req.RestartPolicy = []api.RestartPolicy{api.RestartNever, api.RestartAlways}[r.IntN(2)]
			req.RemoveAfter = r.IntN(4) == 0
			if _, _, err := b.Create(ctx, req); err != nil && api.CodeOf(err) != api.Conflict {
				t.Errorf("seed %d: create: %v", seed, err)
			}
		case 3:
			b.Stop(ctx, name, zero)
		case 4:
			b.Start(ctx, name)
		case 5:
			b.Restart(ctx, name, zero)
		case 6:
			b.Remove(ctx, name, true, zero)
		case 7:
			if ids, _ := b.host.List(ctx); len(ids) > 0 && r.IntN(2) == 0 {
				b.host.Destroy(ctx, ids[0])
			}
		case 8:
			b.reopen()
		}
		if ctx.Err() != nil {
			in, err := b.Get(t.Context(), name)
			t.Fatalf("seed %d: request %d hangs on %+v, %v", seed, what, in, err)
		}
		cancel()
	}
	for n := range 6 {
		if err := b.Remove(t.Context(), fmt.Sprintf("n%d", n), true, zero); err != nil && api.CodeOf(err) != api.NotFound {
			t.Errorf("seed %d: remove: %v", seed, err)
		}
	}
	b.close()
	b.config.Standby = StandbyConfig{}
	b.open()
	b.untilClean()
	if used, _ := b.addresses.usage(); used != 0 {
		t.Errorf("seed %d: %d addresses are left", seed, used)
	}
	if i := b.capacity.info(); i.CPUUsed != 0 || i.MemoryUsed != 0 {
		t.Errorf("seed %d: capacity left in use: %+v", seed, i)
	}
}
