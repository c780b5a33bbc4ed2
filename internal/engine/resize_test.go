package engine

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/meter"
)

func (b *bench) resize(ref string, cpu api.CPU, memory api.Bytes) error {
	b.t.Helper()
	_, err := b.Resize(b.t.Context(), ref, api.InstanceResize{CPU: cpu, Memory: memory}, api.Defaults{MaxCPU: 64000})
	return err
}

// fieldOf is the field that an error names.
func fieldOf(err error) string {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Field
	}
	return ""
}

// untilSize waits until the sandbox has a size, and the record says so.
func (b *bench) untilSize(ref string, cpu api.CPU, memory api.Bytes) api.Instance {
	b.t.Helper()
	want := api.ResourceList{CPU: cpu, Memory: memory}
	in := b.until(ref, "resized", func(in api.Instance) bool { return in.Status.Resources == want })
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	for id, size := range b.host.sizes {
		if size != want {
			b.t.Errorf("sandbox %s has %+v, want %+v", id, size, want)
		}
	}
	return in
}

func TestResize(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	if err := b.resize("a", 1500, 512*api.MiB); err != nil {
		t.Fatal(err)
	}
	in := b.untilSize("a", 1500, 512*api.MiB)
	if in.Spec.CPU != 1500 || in.Spec.Memory != 512*api.MiB || in.Status.ResizeMessage != "" {
		t.Errorf("%+v", in)
	}
	if i := b.capacity.info(); i.CPUUsed != 1500 || i.MemoryUsed != 524*api.MiB {
		t.Errorf("given: %+v", i)
	}
	b.host.inUse = 300 * api.MiB
	if err := b.resize("a", 500, 256*api.MiB); err != nil {
		t.Fatal(err)
	}
	in = b.until("a", "waiting", func(in api.Instance) bool { return in.Status.ResizeMessage != "" })
	if in.Spec.Memory != 256*api.MiB || in.Status.Resources.Memory != 512*api.MiB || !strings.Contains(in.Status.ResizeMessage, "uses more than 256Mi") {
		t.Errorf("%+v", in)
	}
	if i := b.capacity.info(); i.CPUUsed != 1500 || i.MemoryUsed != 524*api.MiB {
		t.Errorf("given while it waits: %+v", i)
	}
	b.reopen()
	b.untilRunning("a")
	b.host.mu.Lock()
	b.host.inUse = 0
	b.host.mu.Unlock()
	b.untilSize("a", 500, 256*api.MiB)
	if i := b.capacity.info(); i.CPUUsed != 500 || i.MemoryUsed != 268*api.MiB {
		t.Errorf("given after it: %+v", i)
	}
	for _, reason := range []string{"Resized", "ResizeWaits"} {
		events, err := b.Events(t.Context(), api.EventOptions{Instance: "a"})
		if err != nil || !slices.ContainsFunc(events.Items, func(e api.Event) bool { return e.Reason == reason }) {
			t.Errorf("no event %s: %+v, %v", reason, events, err)
		}
	}
	if _, err := b.Stop(t.Context(), "a", new(time.Duration)); err != nil {
		t.Fatal(err)
	}
	if err := b.resize("a", 1000, 0); api.CodeOf(err) != api.Conflict {
		t.Errorf("an ended one: %v", err)
	}
	if in := b.until("a", "without a sandbox", func(in api.Instance) bool { return in.Status.Resources == api.ResourceList{} }); in.Spec.CPU != 500 {
		t.Errorf("%+v", in.Spec)
	}
	b.until("a", "given back", func(api.Instance) bool { i := b.capacity.info(); return i.CPUUsed == 0 && i.MemoryUsed == 0 })
}

func TestResizeRefuses(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.CPUOvercommit = 1 })
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	b.host.most = api.ResourceList{CPU: 1000, Memory: 256 * api.MiB}
	before := b.capacity.info()
	quota := api.CPU(750)
	for _, test := range []struct {
		change func()
		cpu    api.CPU
		memory api.Bytes
		code   api.Code
		field  string
	}{
		{cpu: 1001, code: api.Invalid, field: "cpu"},
		{cpu: 1050, code: api.Invalid, field: "cpu"},
		{memory: 257 * api.MiB, code: api.Invalid, field: "memory"},
		{change: func() { b.host.most = api.ResourceList{} }, cpu: 2050, code: api.Exhausted},
		{memory: 5 * api.GiB, code: api.Exhausted},
		{change: func() {
			if _, err := b.UpdateAccount(t.Context(), "default", api.AccountUpdate{Quota: &api.Quota{CPU: &quota}}); err != nil {
				t.Fatal(err)
			}
		}, cpu: 800, code: api.Exhausted, field: "quota.cpu"},
	} {
		if test.change != nil {
			test.change()
		}
		err := b.resize("a", test.cpu, test.memory)
		if api.CodeOf(err) != test.code || fieldOf(err) != test.field {
			t.Errorf("%s cores and %s: %v", test.cpu, test.memory, err)
		}
	}
	if in, err := b.Get(t.Context(), "a"); err != nil || in.Spec.CPU != 500 || b.capacity.info() != before {
		t.Errorf("afterwards: %+v %v, %+v", in.Spec, err, b.capacity.info())
	}
}

// An instance that waits for its sandbox gets one of the new size, not that which was about to
// be made, though it could not be given more.
func TestResizeBeforeItHasASandbox(t *testing.T) {
	b := newBench(t)
	b.host.most, b.host.holdNICs = api.ResourceList{CPU: 500, Memory: 256 * api.MiB}, make(chan struct{})
	b.create(request("a", "sleep"))
	time.Sleep(50 * time.Millisecond) // it is at its network
	if err := b.resize("a", 1500, 512*api.MiB); err != nil {
		t.Fatal(err)
	}
	close(b.host.holdNICs)
	b.untilRunning("a")
	b.untilSize("a", 1500, 512*api.MiB)
	if i := b.capacity.info(); i.CPUUsed != 1500 || i.MemoryUsed != 524*api.MiB {
		t.Errorf("given: %+v", i)
	}
	if all := b.intervals(); len(all) != 1 || all[0].CPU != 1500 || len(all[0].Sizes) != 1 {
		t.Errorf("%+v", all)
	}
}

// One whose sandbox is being made is resized once it runs.
func TestResizeBeforeItRuns(t *testing.T) {
	b := newBench(t)
	b.host.hold = make(chan struct{})
	b.create(request("a", "sleep"))
	b.until("a", "with a sandbox", func(in api.Instance) bool { return in.Status.Resources.CPU == 500 })
	if err := b.resize("a", 200, 0); err != nil {
		t.Fatal(err)
	}
	close(b.host.hold)
	b.untilRunning("a")
	b.untilSize("a", 200, 256*api.MiB)
}

// A container that shall begin anew with its new size does so once, over restarts of cisd.
func TestResizeRestartsAContainer(t *testing.T) {
	b := newBench(t)
	req := request("a", "sleep")
	req.RestartPolicy = api.RestartAlways
	b.create(req)
	b.untilRunning("a")
	ask := func(cpu api.CPU) {
		t.Helper()
		_, err := b.Resize(t.Context(), "a", api.InstanceResize{CPU: cpu, Containers: []api.ContainerResize{{Name: "main", Restart: true}}}, api.Defaults{})
		if err != nil {
			t.Fatal(err)
		}
	}
	restarted := func(count int) {
		t.Helper()
		b.until("a", "restarted", func(in api.Instance) bool {
			s := in.Status.ContainerStatuses[0]
			return s.RestartCount == count && s.State.Running != nil
		})
	}
	ask(1000)
	b.untilSize("a", 1000, 256*api.MiB)
	restarted(1)
	ask(1000) // the same size
	restarted(2)
	ask(500)
	b.kill()
	b.open()
	b.untilSize("a", 500, 256*api.MiB)
	restarted(3)
	b.reopen()
	b.untilRunning("a")
	time.Sleep(50 * time.Millisecond)
	restarted(3)
}

// A resize that waits is taken back: what of it was done already is undone.
func TestResizeTakenBack(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	b.host.mu.Lock()
	b.host.inUse = 200 * api.MiB
	b.host.mu.Unlock()
	if err := b.resize("a", 100, 64*api.MiB); err != nil {
		t.Fatal(err)
	}
	b.until("a", "waiting", func(in api.Instance) bool { return in.Status.ResizeMessage != "" })
	b.host.mu.Lock()
	for id := range b.host.sizes {
		b.host.sizes[id] = api.ResourceList{CPU: 100, Memory: 256 * api.MiB} // half of it was done
	}
	b.host.mu.Unlock()
	if err := b.resize("a", 500, 256*api.MiB); err != nil {
		t.Fatal(err)
	}
	b.until("a", "as before", func(in api.Instance) bool {
		b.host.mu.Lock()
		defer b.host.mu.Unlock()
		for _, size := range b.host.sizes {
			if size.CPU != 500 {
				return false
			}
		}
		return in.Status.ResizeMessage == ""
	})
}

// Of several requests at once the last one recorded holds in the end.
func TestResizesAtOnce(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			if err := b.resize("a", api.CPU(100+50*n), 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	in, err := b.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	b.untilSize("a", in.Spec.CPU, in.Spec.Memory)
	if i := b.capacity.info(); i.CPUUsed != in.Spec.CPU {
		t.Errorf("given: %+v, want %s", i, in.Spec.CPU)
	}
}

// The engine is killed again and again while an instance is resized: it is charged for each
// moment once, by the size that was in force.
func TestMeteringOfResizesOutlivesKills(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	started := *b.untilRunning("a").Status.StartedAt
	sizes := []api.ResourceList{{CPU: 500, Memory: 256 * api.MiB}, {CPU: 1000, Memory: 512 * api.MiB}, {CPU: 100, Memory: 64 * api.MiB}, {CPU: 2000, Memory: api.GiB}}
	var after []time.Time // each was asked for
	for _, size := range sizes[1:] {
		after = append(after, time.Now())
		if err := b.resize("a", size.CPU, size.Memory); err != nil {
			t.Fatal(err)
		}
		b.kill()
		b.open()
		b.untilSize("a", size.CPU, size.Memory)
		b.kill()
		b.open()
	}
	end, err := b.Stop(t.Context(), "a", new(time.Duration))
	if err != nil {
		t.Fatal(err)
	}
	all := b.intervals()
	if len(all) != 1 || len(all[0].Sizes) != len(sizes) || all[0].CPU != 500 {
		t.Fatalf("%+v", all)
	}
	isRun(t, all[0], end)
	var want float64
	for n, size := range all[0].Sizes {
		from, to := size.From, all[0].End
		if n+1 < len(sizes) {
			to = all[0].Sizes[n+1].From
		}
		if size.CPU != sizes[n].CPU || size.Memory != sizes[n].Memory || n == 0 && !from.Equal(started) || n > 0 && from.Before(after[n-1]) {
			t.Errorf("%d: %+v, asked for %v", n, size, after)
		}
		want += to.Sub(from).Seconds() * float64(size.CPU) / 1000
	}
	sum := meter.NewSum(api.UsageOptions{From: started.Add(-time.Hour), To: time.Now().Add(time.Hour), By: api.UsageByInstance}, nil, time.Now())
	sum.Add(all[0])
	charged, _ := sum.Result().Total.VCPUSeconds.Rat()
	if got, _ := charged.Float64(); got < want-0.01 || got > want+0.01 {
		t.Errorf("charged %v, want %v", got, want)
	}
}
