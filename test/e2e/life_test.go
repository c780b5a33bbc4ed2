package e2e

import (
	"strings"
	"time"

	"cis/api"
)

var lifeTests = tests{
	"stop, start, restart": func(e *env) {
		name := e.start("--stop-timeout", "5", "--", "sh", "-c", "trap 'echo stopping; exit 0' TERM; echo up; while :; do sleep 0.1; done")
		e.saying(name, "up")
		address := e.get(name).Status.Address
		e.ok("stop", name)
		in := e.ended(name)
		e.equal("phase after stop", in.Status.Phase, api.PhaseSucceeded)
		if !strings.Contains(e.logs(name), "stopping") {
			e.Error("the program was not asked to stop")
		}
		e.ok("start", name)
		in = e.when(name, "running", running)
		e.equal("address after start", in.Status.Address, address)
		e.ok("restart", name)
		in = e.when(name, "running", running)
		e.equal("address after restart", in.Status.Address, address)
		if _, ok := e.events(name)["Killing"]; !ok {
			e.Error("no event Killing")
		}
	},
	"the grace period is kept": func(e *env) {
		name := e.start("--stop-timeout", "2", "--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
		e.saying(name, "up")
		began := time.Now()
		e.ok("stop", name)
		took := time.Since(began)
		if took < 1900*time.Millisecond || took > 8*time.Second {
			e.Errorf("stopped after %v, want about 2 s", took)
		}
		e.equal("exit code", exitCode(e.ended(name)), 137)
	},
	"kill sends a signal": func(e *env) {
		name := e.start("--", "sh", "-c", "trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done")
		e.saying(name, "up")
		e.ok("kill", "-s", "HUP", name)
		e.saying(name, "hup")
		e.ok("kill", name)
		e.equal("exit code", exitCode(e.ended(name)), 137)
	},
	"wait prints the exit code": func(e *env) {
		name := e.start("--", "sh", "-c", "sleep 0.5; exit 6")
		e.equal("printed", strings.TrimSpace(e.cis("wait", name).Stdout), "6")
	},
	"nothing is left within a second of the end": func(e *env) {
		name := e.start("--", "sh", "-c", "sleep 0.3")
		sandbox := e.sandbox(name)
		in := e.ended(name)
		time.Sleep(time.Until(in.Status.FinishedAt.Add(time.Second)))
		for _, left := range e.stage.Sandboxes() {
			if strings.Contains(left, sandbox) {
				e.Errorf("a second after the end there is %s", left)
			}
		}
	},
	"failures are restarted, with back-off": func(e *env) {
		name := e.create(api.InstanceSpec{RestartPolicy: api.RestartOnFailure, Containers: []api.Container{e.sh("echo try; exit 2")}})
		in := e.when(name, "restarted twice", func(in api.Instance) bool {
			return len(in.Status.ContainerStatuses) > 0 && in.Status.ContainerStatuses[0].RestartCount >= 2
		})
		e.equal("phase", in.Status.Phase, api.PhaseRunning)
		if last := in.Status.ContainerStatuses[0].LastState.Terminated; last == nil || last.ExitCode != 2 {
			e.Errorf("last state %+v", last)
		}
		e.until("the record says CrashLoopBackOff", func() bool {
			w := e.get(name).Status.ContainerStatuses[0].State.Waiting
			return w != nil && w.Reason == api.ReasonCrashLoopBackOff
		})
		if ev := e.events(name)["BackOff"]; ev.Count < 1 || ev.Type != api.EventWarning {
			e.Errorf("event BackOff: %+v", ev)
		}
	},
	"always restarts successes, on-failure does not": func(e *env) {
		always := e.create(api.InstanceSpec{RestartPolicy: api.RestartAlways, Containers: []api.Container{e.sh("exit 0")}})
		onFailure := e.create(api.InstanceSpec{RestartPolicy: api.RestartOnFailure, Containers: []api.Container{e.sh("exit 0")}})
		e.when(always, "restarted", func(in api.Instance) bool {
			return len(in.Status.ContainerStatuses) > 0 && in.Status.ContainerStatuses[0].RestartCount > 0
		})
		in := e.ended(onFailure)
		e.equal("phase", in.Status.Phase, api.PhaseSucceeded)
		e.equal("restarts", in.Status.ContainerStatuses[0].RestartCount, 0)
	},
	"init containers go first, one by one": func(e *env) {
		mount := func(name, script string) api.Container {
			return with(e.sh(script), func(c *api.Container) {
				c.Name, c.VolumeMounts = name, []api.VolumeMount{{Name: "v", MountPath: "/v"}}
			})
		}
		name := e.create(api.InstanceSpec{
			Volumes:        []api.Volume{{Name: "v", EmptyDir: &api.EmptyDir{}}},
			InitContainers: []api.Container{mount("one", "sleep 0.2; echo 1 >>/v/order"), mount("two", "echo 2 >>/v/order")},
			Containers:     []api.Container{mount("main", "echo 3 >>/v/order; tr '\\n' , </v/order")},
		})
		in := e.ended(name)
		e.equal("phase", in.Status.Phase, api.PhaseSucceeded)
		e.equal("order", e.ok("logs", "-c", "main", name), "1,2,3,")
	},
	"sidecars begin before the others and end after them": func(e *env) {
		mount := func(name, script string) api.Container {
			return with(e.sh(script), func(c *api.Container) {
				c.Name, c.VolumeMounts = name, []api.VolumeMount{{Name: "v", MountPath: "/v"}}
			})
		}
		sidecar := func(name, script string) api.Container {
			return with(mount(name, script), func(c *api.Container) { c.RestartPolicy = api.RestartAlways })
		}
		// The first is seen only once it is up; the second ends once while the others run.
		first := sidecar("first", "trap 'cat /v/log; exit 3' TERM; sleep 0.5; echo first >>/v/log; touch /v/up; while :; do sleep 0.1; done")
		first.StartupProbe = &api.Probe{Handler: api.Handler{Exec: &api.ExecAction{Command: []string{"test", "-e", "/v/up"}}}, PeriodSeconds: 1, FailureThreshold: 60}
		second := sidecar("second", "test -e /v/once || { touch /v/once; while ! test -e /v/main; do sleep 0.1; done; exit 1; }; "+
			"touch /v/again; trap 'echo second ends >>/v/log; exit 0' TERM; while :; do sleep 0.1; done")
		name := e.create(api.InstanceSpec{
			Volumes:        []api.Volume{{Name: "v", EmptyDir: &api.EmptyDir{}}},
			InitContainers: []api.Container{first, mount("init", "echo init >>/v/log"), second},
			Containers:     []api.Container{mount("main", "echo main >>/v/log; touch /v/main; while ! test -e /v/again; do sleep 0.1; done; echo main ends >>/v/log")},
		})
		in := e.ended(name)
		e.equal("phase", in.Status.Phase, api.PhaseSucceeded)
		e.equal("exit code", exitCode(in), 0)
		e.equal("order", e.ok("logs", "-c", "first", name), "first\ninit\nmain\nmain ends\nsecond ends\n")
		e.equal("restarts of the second", in.Status.InitContainerStatuses[2].RestartCount, 1)
		e.equal("exit code of the first", in.Status.InitContainerStatuses[0].State.Terminated.ExitCode, 3)
	},
	"an init container that fails ends the instance": func(e *env) {
		name := e.create(api.InstanceSpec{
			InitContainers: []api.Container{with(e.sh("exit 4"), func(c *api.Container) { c.Name = "init" })},
			Containers:     []api.Container{with(e.sh("echo never"), func(c *api.Container) { c.Name = "main" })},
		})
		in := e.ended(name)
		e.equal("phase", in.Status.Phase, api.PhaseFailed)
		if strings.Contains(e.cis("logs", "-c", "main", name).Stdout, "never") {
			e.Error("the container has run")
		}
	},
	"a deadline": func(e *env) {
		// An emulated VM on a busy host may take more than a second to start.
		deadline := map[string]string{"vm": "5", "gvisor": "1"}[e.isolation]
		name := e.start("--deadline", deadline, "--stop-timeout", "1", "--", "sleep", "1000")
		in := e.ended(name)
		e.equal("phase", in.Status.Phase, api.PhaseFailed)
		e.equal("reason", in.Status.Reason, api.ReasonDeadlineExceeded)
	},
	"ttl removes the record": func(e *env) {
		name := e.name()
		e.ok("run", "--ttl", "1", "--name", name, e.stage.Image, "true")
		e.until("the record is gone", func() bool { return e.cis("inspect", name).Code == 1 })
	},
	"containers share the network and the sandbox": func(e *env) {
		name := e.create(api.InstanceSpec{Containers: []api.Container{
			with(e.sh("echo served | nc -l -p 7000"), func(c *api.Container) { c.Name = "server" }),
			with(e.sh("for i in 1 2 3 4 5 6 7 8 9; do nc 127.0.0.1 7000 && exit 0; sleep 0.2; done; exit 1"), func(c *api.Container) { c.Name = "client" }),
		}})
		in := e.ended(name)
		e.equal("phase", in.Status.Phase, api.PhaseSucceeded)
		e.equal("client", e.cis("logs", "-c", "client", name).Stdout, "served\n")
	},
	"events are told as they come": func(e *env) {
		name := e.name()
		watch := e.stage.Command(e.Context(), "events", "-w", "-o", "json")
		out, err := watch.StdoutPipe()
		if err != nil {
			e.Fatal(err)
		}
		if err := watch.Start(); err != nil {
			e.Fatal(err)
		}
		defer func() { _ = watch.Process.Kill(); _ = watch.Wait() }()
		e.ok("run", "--rm", "--name", name, e.stage.Image, "true")
		buf, seen := make([]byte, 1<<16), ""
		for !strings.Contains(seen, `"instance":"`+name+`","container":"main","type":"Normal","reason":"Started"`) {
			n, err := out.Read(buf)
			if seen += string(buf[:n]); err != nil {
				e.Fatalf("the watch ended: %v\n%s", err, seen)
			}
		}
	},
	"stats": func(e *env) {
		name := e.start("--memory", "128Mi", "--", "sh", "-c", "while :; do :; done")
		time.Sleep(time.Second)
		s, err := e.stage.Client.Stats(e.Context(), e.get(name).ID)
		if err != nil {
			e.Fatal(err)
		}
		if s.CPUSeconds <= 0.1 || s.Memory <= 0 || s.Memory > 128*api.MiB || s.MemoryLimit != 128*api.MiB || s.Pids < 1 {
			e.Errorf("stats %+v", s)
		}
		if !strings.Contains(e.ok("stats", "--no-stream"), name) {
			e.Error("cis stats does not list it")
		}
	},
	"stats of containers": func(e *env) {
		name := e.create(api.InstanceSpec{CPU: 1000, Memory: 128 * api.MiB, Containers: []api.Container{
			with(e.sh("sleep 1000"), func(c *api.Container) { c.Name = "idle" }),
			with(e.sh("dd if=/dev/zero of=/big bs=1M count=8 && while :; do :; done"), func(c *api.Container) { c.Name = "busy" }),
		}})
		e.when(name, "running", func(in api.Instance) bool {
			all := in.Status.ContainerStatuses
			return len(all) == 2 && all[0].State.Running != nil && all[1].State.Running != nil
		})
		var s api.Stats
		read := func() (busy, idle api.ContainerStats) {
			var err error
			if s, err = e.stage.Client.Stats(e.Context(), name); err != nil {
				e.Fatal(err)
			}
			if len(s.Containers) != 2 || s.Containers[0].Name != "busy" || s.Containers[1].Name != "idle" {
				e.Fatalf("containers %+v", s.Containers)
			}
			return s.Containers[0], s.Containers[1]
		}
		e.until("the file is written", func() bool { busy, _ := read(); return busy.Disk >= 8*api.MiB && busy.CPUSeconds > 0.2 })
		began, _ := read()
		time.Sleep(3 * time.Second)
		busy, idle := read()
		if share := (busy.CPUSeconds - began.CPUSeconds) / 3; share < 0.1 || share > 1.1 || busy.CPU < 0.1 || busy.CPU > 1.1 {
			e.Errorf("a busy container of one core uses %.2f, it says %.2f", share, busy.CPU)
		}
		if idle.CPU > busy.CPU/2 || busy.CPUSeconds+idle.CPUSeconds > s.CPUSeconds {
			e.Errorf("cpu: %+v", s)
		}
		for _, c := range s.Containers {
			if c.StartedAt.IsZero() || c.Memory <= 0 || c.Memory > c.MemoryUsage || c.MemoryUsage > 64*api.MiB || c.MemoryRSS > c.MemoryUsage {
				e.Errorf("container %+v", c)
			}
		}
		if out := e.ok("stats", "--no-stream", "--containers", name); !strings.Contains(out, "busy") || !strings.Contains(out, "idle") {
			e.Errorf("cis stats --containers: %s", out)
		}
	},
}

// sandbox is the ID of the sandbox of an instance, from its event.
func (e *env) sandbox(name string) string {
	e.Helper()
	for word := range strings.FieldsSeq(e.events(name)["SandboxReady"].Message) {
		if strings.HasPrefix(word, "s-") {
			return word
		}
	}
	e.Fatalf("no sandbox in the events of %s: %v", name, e.events(name))
	return ""
}
