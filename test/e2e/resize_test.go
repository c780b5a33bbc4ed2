package e2e

import (
	"strings"
	"testing"
	"time"

	"cis/api"
)

var resizeTests = tests{
	"less and more": func(e *env) {
		name := e.start("--cpu", "1", "--memory", "128Mi", "--", "sh", "-c", "echo up; while :; do if test -e /busy; then :; else sleep 0.1; fi; done")
		e.saying(name, "up")
		e.ok("exec", name, "touch", "/busy")
		e.ok("update", "--cpu", "0.1", "--memory", "64Mi", name)
		e.sized(name, 100, 64*api.MiB)
		little := e.share(name)
		e.ok("update", "--cpu", "1", name)
		e.sized(name, 1000, 64*api.MiB)
		if full := e.share(name); full < 2*little {
			e.Errorf("a tenth of a processor used %.2f of it, a whole one %.2f", little, full)
		}
		e.ok("exec", name, "rm", "/busy")
		e.ok("update", "-m", "128Mi", name)
		e.sized(name, 1000, 128*api.MiB)
		const fill = "dd if=/dev/zero of=/dev/null bs=80M count=1"
		e.ok("exec", name, "sh", "-c", fill)
		e.ok("update", "-m", "64Mi", name)
		e.sized(name, 1000, 64*api.MiB)
		if r := e.cis("exec", name, "sh", "-c", fill); r.Code == 0 {
			e.Errorf("a program got more memory than its instance has")
		}
		if _, ok := e.events(name)["Resized"]; !ok {
			e.Errorf("no event of it")
		}
	},
	"memory that is in use": func(e *env) {
		name := e.start("--memory", "128Mi", "--", "sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=60; echo up; exec sleep 1000")
		e.saying(name, "up")
		e.ok("update", "--memory", "40Mi", name)
		in := e.when(name, "waiting", func(in api.Instance) bool { return in.Status.ResizeMessage != "" })
		e.equal("memory in force", in.Status.Resources.Memory, 128*api.MiB)
		if text := e.ok("describe", name); !strings.Contains(text, "Size now") || !strings.Contains(text, in.Status.ResizeMessage) {
			e.Errorf("describe does not tell: %s", text)
		}
		e.ok("exec", name, "rm", "/dev/shm/x")
		e.sized(name, in.Spec.CPU, 40*api.MiB)
	},
	"mistakes": func(e *env) {
		name := e.start("--cpu", "0.5", "--memory", "128Mi", "--", "sleep", "1000")
		e.when(name, "running", running)
		e.fails(1, []string{"cpu", "multiple of 0.05"}, "update", "--cpu", "0.51", name)
		e.fails(1, []string{"cpu", "at most"}, "update", "--cpu", "10000", name)
		if e.isolation != "vm" {
			e.fails(1, []string{"not enough memory", "free"}, "update", "--memory", e.hostMemory(), name)
		} else {
			e.fails(1, []string{"memory", "at most 128Mi", "a VM keeps the memory"}, "update", "--memory", "129Mi", name)
			e.fails(1, []string{"cpu", "at most 1 cores", "a VM keeps the processors"}, "update", "--cpu", "1.05", name)
		}
		e.fails(1, []string{"containers[0].name", `"nosuch"`}, "update", "--container", "nosuch", "--cpu", "0.1", name)
		in := e.get(name)
		e.equal("size", in.Spec.Resources(), api.ResourceList{CPU: 500, Memory: 128 * api.MiB})
		e.ok("update", "--container", "main", "--cpu", "0.25", name)
		e.equal("limit", e.get(name).Spec.Containers[0].Resources.Limits, api.ResourceList{CPU: 250})
		e.ok("stop", "-t", "0", name)
		e.fails(1, []string{"does not run"}, "update", "--cpu", "0.1", name)
	},
}

// hostMemory is all that there is, as an argument.
func (e *env) hostMemory() string {
	e.Helper()
	info, err := e.stage.Client.Info(e.Context())
	if err != nil {
		e.Fatal(err)
	}
	return (info.Memory / api.MiB * api.MiB).String()
}

// sized waits until a size is in force.
func (e *env) sized(name string, cpu api.CPU, memory api.Bytes) {
	e.Helper()
	e.when(name, "resized", func(in api.Instance) bool { return in.Status.Resources == api.ResourceList{CPU: cpu, Memory: memory} })
}

// share is how much of a processor an instance uses.
func (e *env) share(name string) float64 {
	e.Helper()
	look := func() api.Stats {
		s, err := e.stage.Client.Stats(e.Context(), name)
		if err != nil {
			e.Fatal(err)
		}
		return s
	}
	before := look()
	time.Sleep(2 * time.Second)
	after := look()
	return (after.CPUSeconds - before.CPUSeconds) / after.Time.Sub(before.Time).Seconds()
}

// TestResizeOutlivesKills kills cisd right after a resize was recorded, again and again: the
// size comes to hold, and what is charged is what held.
func TestResizeOutlivesKills(t *testing.T) {
	ownStage(t, func(e *env) {
		name := e.start("--cpu", "1", "--memory", "128Mi", "--", "sleep", "1000")
		in := e.when(name, "running", running)
		sizes := []api.CPU{1000, 100, 1000, 500}
		asked, held := []time.Time{*in.Status.StartedAt}, []time.Time{*in.Status.StartedAt}
		for _, cpu := range sizes[1:] {
			asked = append(asked, time.Now())
			e.ok("update", "--cpu", cpu.String(), name)
			e.crash()
			e.sized(name, cpu, 128*api.MiB)
			held = append(held, time.Now())
			e.crash()
		}
		e.ok("stop", "-t", "0", name)
		end := e.ended(name)
		asked, held = append(asked, *end.Status.FinishedAt), append(held, *end.Status.FinishedAt)
		// Each change came to hold between its request and when it was seen.
		least, most := 0.0, 0.0
		for n, cpu := range sizes {
			early, late := asked[n+1].Sub(held[n]), held[n+1].Sub(asked[n])
			least += early.Seconds() * float64(cpu) / 1000
			most += late.Seconds() * float64(cpu) / 1000
		}
		used := e.usage(name)
		e.equal("seconds", used.Total.Seconds, shown(length(end), 3))
		exact, _ := used.Total.VCPUSeconds.Rat()
		if got, _ := exact.Float64(); got < least || got > most {
			e.Errorf("charged %v core seconds, want %v to %v", got, least, most)
		}
		e.crash()
		e.equal("after one more", e.usage(name).Total, used.Total)
	})
}
