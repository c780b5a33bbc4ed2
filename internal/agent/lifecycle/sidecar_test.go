package lifecycle

import (
	"errors"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
)

func sidecar(name string) agentpb.Container {
	return agentpb.Container{Name: name, RestartPolicy: api.RestartAlways}
}

// withSidecars starts sidecars s and t around an init container i, and a main one a.
func withSidecars(t *testing.T, policy api.RestartPolicy) *play {
	w := agentpb.Workload{ID: "w", RestartPolicy: policy, GracePeriod: 10 * time.Second}
	w.InitContainers = []agentpb.Container{sidecar("s"), {Name: "i"}, sidecar("t")}
	return start(t, w, agentpb.Container{Name: "a"})
}

// up runs all of withSidecars.
func (p *play) up() *play {
	p.runs("s")
	p.runs("i")
	p.exits("i", 0)
	p.runs("t")
	p.runs("a")
	p.want("Start{{s 0}} Start{{i 0}} Start{{t 0}} Start{{a 0}}")
	return p
}

func TestSidecarsStartInOrder(t *testing.T) {
	w := always
	s := sidecar("s")
	s.StartupProbe = &api.Probe{Handler: *hook, PeriodSeconds: 5}
	s.Lifecycle = &api.Lifecycle{PostStart: hook}
	w.InitContainers = []agentpb.Container{s, {Name: "i"}}
	p := start(t, w, agentpb.Container{Name: "a"})
	p.runs("s")
	p.want("Start{{s 0}} RunHook{{s 0} PostStart}")
	p.step(HookDone{Ref: p.ref("s"), Hook: PostStart})
	p.want("Probe{{s 0} Startup}")
	p.exits("s", 0) // before it has started, so the next waits for its restart
	p.want("Start{{s 1}}")
	p.runs("s")
	p.step(HookDone{Ref: p.ref("s"), Hook: PostStart})
	p.step(Probed{Ref: p.ref("s"), Kind: Startup, OK: true})
	p.want("RunHook{{s 1} PostStart} Probe{{s 1} Startup} Start{{i 0}}")
	p.runs("i")
	p.exits("s", 1) // while another is under way
	p.pass(10 * time.Second)
	p.want("Start{{s 2}}")
	p.exits("i", 0) // its own restart holds up nobody
	p.want("Start{{a 0}}")
}

func TestSidecarsAreRestartedWhateverThePolicy(t *testing.T) {
	p := withSidecars(t, api.RestartNever).up()
	p.exits("s", 0)
	p.want("Start{{s 1}}")
	if s := p.status("s"); s.RestartCount != 1 || s.LastState.Terminated.Reason != api.ReasonCompleted {
		t.Errorf("%+v", s)
	}
	p.runs("s")
	if s := p.status("s"); !s.Ready || !s.Started {
		t.Errorf("%+v", s)
	}
}

func TestSidecarsEndAfterTheMainContainers(t *testing.T) {
	p := withSidecars(t, api.RestartNever).up()
	p.exits("a", 3)
	p.want("Signal{{t 0} 15 false}")
	p.exits("t", 143)
	p.want("Signal{{s 0} 15 false}")
	p.pass(10 * time.Second)
	p.want("Signal{{s 0} 9 true}")
	p.exits("s", 137)
	if s := p.m.State(); !s.Finished || s.Reason != "" {
		t.Errorf("%+v", s)
	}
}

func TestSidecarsEndWhenAnInitContainerHasFailed(t *testing.T) {
	p := withSidecars(t, api.RestartNever)
	p.runs("s")
	p.runs("i")
	p.did()
	p.exits("i", 1)
	p.want("Signal{{s 0} 15 false}")
	p.exits("s", 0)
	if s := p.m.State(); !s.Finished || s.InitContainers[2].State.Waiting == nil {
		t.Errorf("%+v", s)
	}
}

func TestStopTakesSidecarsLast(t *testing.T) {
	w := always
	s := sidecar("s")
	s.Lifecycle = &api.Lifecycle{PreStop: hook}
	w.InitContainers = []agentpb.Container{s, sidecar("t")}
	p := start(t, w, agentpb.Container{Name: "a"})
	p.runs("s")
	p.runs("t")
	p.runs("a")
	p.did()
	p.step(Stop{Grace: 10 * time.Second})
	p.want("RunHook{{s 0} PreStop} Signal{{a 0} 15 false}")
	p.step(HookDone{Ref: p.ref("s"), Hook: PreStop, Err: errors.New("no")})
	p.pass(10 * time.Second)
	p.want("Signal{{s 0} 15 false} Signal{{t 0} 15 false} Signal{{a 0} 9 true}")
	p.pass(leeway)
	p.want("Signal{{s 0} 9 true} Signal{{t 0} 9 true}")
}

func TestStopAtOnceTakesSidecarsToo(t *testing.T) {
	p := withSidecars(t, api.RestartAlways).up()
	p.step(Stop{Grace: time.Minute})
	p.want("Signal{{a 0} 15 false}")
	p.step(Stop{})
	p.want("Signal{{s 0} 9 true} Signal{{t 0} 9 true} Signal{{a 0} 9 true}")
}

func TestPolicyOfASingleContainer(t *testing.T) {
	w := always
	w.InitContainers = []agentpb.Container{{Name: "i", RestartPolicy: api.RestartNever}}
	p := start(t, w, agentpb.Container{Name: "a"})
	p.runs("i")
	p.exits("i", 1)
	if !p.m.Finished() {
		t.Error("an init container was restarted")
	}
	w = always
	w.RestartPolicy = api.RestartNever
	p = start(t, w, agentpb.Container{Name: "a", RestartPolicy: api.RestartOnFailure}, agentpb.Container{Name: "b"})
	p.runs("a")
	p.runs("b")
	p.did()
	p.exits("b", 1)
	p.want("")
	p.exits("a", 1)
	p.want("Start{{a 1}}")
	p.runs("a")
	p.exits("a", 0)
	if !p.m.Finished() {
		t.Error("restarted after a success")
	}
}
