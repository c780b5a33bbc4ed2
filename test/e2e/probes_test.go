package e2e

import (
	"strings"
	"time"

	"cis/api"
)

var probeTests = tests{
	"readiness by exec, http and tcp": func(e *env) {
		for kind, handler := range map[string]api.Handler{
			"exec": {Exec: &api.ExecAction{Command: []string{"test", "-e", "/root/ready"}}},
			"http": {HTTPGet: &api.HTTPGetAction{Port: 8080, Path: "/index.html"}},
			"tcp":  {TCPSocket: &api.TCPSocketAction{Port: 8080}},
		} {
			probe := &api.Probe{Handler: handler, PeriodSeconds: 1}
			name := e.create(api.InstanceSpec{Containers: []api.Container{with(
				e.sh("sleep 2; mkdir /www; echo hi >/www/index.html; touch /root/ready; exec httpd -f -p 8080 -h /www"),
				func(c *api.Container) { c.ReadinessProbe = probe })}})
			in := e.when(name, "running", running)
			if in.Status.Ready {
				e.Errorf("%s: ready at once", kind)
			}
			e.when(name, "ready by "+kind, func(in api.Instance) bool { return in.Status.Ready })
		}
	},
	"liveness restarts": func(e *env) {
		name := e.create(api.InstanceSpec{RestartPolicy: api.RestartAlways, TerminationGracePeriodSeconds: new(int64(1)), Containers: []api.Container{with(
			e.sh("touch /root/alive; sleep 2; rm /root/alive; sleep 1000"), func(c *api.Container) {
				c.LivenessProbe = &api.Probe{Handler: api.Handler{Exec: &api.ExecAction{Command: []string{"test", "-e", "/root/alive"}}}, PeriodSeconds: 1, FailureThreshold: 2}
			})}})
		e.when(name, "restarted", func(in api.Instance) bool {
			return len(in.Status.ContainerStatuses) > 0 && in.Status.ContainerStatuses[0].RestartCount > 0
		})
		if ev, ok := e.events(name)["Unhealthy"]; !ok || ev.Type != api.EventWarning {
			e.Errorf("event Unhealthy: %+v", ev)
		}
	},
	"another host is asked from inside": func(e *env) {
		for kind, handler := range map[string]api.Handler{
			"http": {HTTPGet: &api.HTTPGetAction{Host: "127.0.0.1", Port: 8080, Path: "/etc/hostname"}},
			"tcp":  {TCPSocket: &api.TCPSocketAction{Host: "127.0.0.1", Port: 8080}},
		} {
			name := e.create(api.InstanceSpec{Containers: []api.Container{with(e.sh("exec httpd -f -p 127.0.0.1:8080 -h /"), func(c *api.Container) {
				c.ReadinessProbe = &api.Probe{Handler: handler, PeriodSeconds: 1, TimeoutSeconds: 5}
			})}})
			e.when(name, "ready by "+kind, func(in api.Instance) bool { return in.Status.Ready })
		}
	},
	"a grace period of the probe's own": func(e *env) {
		name := e.create(api.InstanceSpec{RestartPolicy: api.RestartAlways, TerminationGracePeriodSeconds: new(int64(600)), Containers: []api.Container{with(
			e.sh("trap '' TERM; while :; do sleep 0.1; done"), func(c *api.Container) {
				c.LivenessProbe = &api.Probe{Handler: api.Handler{Exec: &api.ExecAction{Command: []string{"false"}}}, PeriodSeconds: 1, FailureThreshold: 1,
					TerminationGracePeriodSeconds: new(int64(1))}
			})}})
		e.when(name, "restarted", func(in api.Instance) bool {
			return len(in.Status.ContainerStatuses) > 0 && in.Status.ContainerStatuses[0].RestartCount > 0
		})
		e.ok("rm", "-f", name)
	},
	"gRPC of a server that does not speak it": func(e *env) {
		name := e.create(api.InstanceSpec{Containers: []api.Container{with(e.sh("exec httpd -f -p 8080 -h /"), func(c *api.Container) {
			c.ReadinessProbe = &api.Probe{Handler: api.Handler{GRPC: &api.GRPCAction{Port: 8080}}, PeriodSeconds: 1, InitialDelaySeconds: 1}
		})}})
		e.until("the probe fails", func() bool {
			_, ok := e.events(name)["Unhealthy"]
			return ok
		})
		e.equal("ready", e.get(name).Status.Ready, false)
	},
	"a preStop hook that sleeps": func(e *env) {
		name := e.create(api.InstanceSpec{Containers: []api.Container{with(e.sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"), func(c *api.Container) {
			c.Lifecycle = &api.Lifecycle{PreStop: &api.Handler{Sleep: &api.SleepAction{Seconds: 2}}}
		})}})
		e.saying(name, "up")
		began := time.Now()
		e.ok("stop", name)
		if took := time.Since(began); took < 1900*time.Millisecond || took > 9*time.Second {
			e.Errorf("stopped after %v, want about 2 s", took)
		}
		e.equal("exit code", exitCode(e.ended(name)), 0)
	},
	"startup holds the others back": func(e *env) {
		name := e.create(api.InstanceSpec{Containers: []api.Container{with(e.sh("sleep 3; touch /root/up; sleep 1000"), func(c *api.Container) {
			up := api.Handler{Exec: &api.ExecAction{Command: []string{"test", "-e", "/root/up"}}}
			c.StartupProbe = &api.Probe{Handler: up, PeriodSeconds: 1, FailureThreshold: 30}
			c.LivenessProbe = &api.Probe{Handler: up, PeriodSeconds: 1, FailureThreshold: 1}
		})}})
		in := e.when(name, "started", func(in api.Instance) bool {
			return len(in.Status.ContainerStatuses) > 0 && in.Status.ContainerStatuses[0].Started
		})
		e.equal("restarts", in.Status.ContainerStatuses[0].RestartCount, 0)
		e.equal("phase", in.Status.Phase, api.PhaseRunning)
	},
	"hooks": func(e *env) {
		shell := func(script string) *api.Handler {
			return &api.Handler{Exec: &api.ExecAction{Command: []string{"sh", "-c", script}}}
		}
		name := e.create(api.InstanceSpec{Containers: []api.Container{with(
			e.sh("trap 'cat /root/log; exit 0' TERM; while :; do sleep 0.1; done"), func(c *api.Container) {
				c.Lifecycle = &api.Lifecycle{PostStart: shell("echo post >>/root/log"), PreStop: shell("echo pre >>/root/log")}
			})}})
		e.until("postStart has run", func() bool { return e.cis("exec", name, "cat", "/root/log").Stdout == "post\n" })
		e.ok("stop", name)
		e.ended(name)
		if logs := e.logs(name); !strings.Contains(logs, "post\npre\n") {
			e.Errorf("logs %q", logs)
		}
	},
}
