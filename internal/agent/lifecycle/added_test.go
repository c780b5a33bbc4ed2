package lifecycle

import (
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

func (p *play) add(name string) *play {
	p.step(Add{Container: &agentpb.Container{Name: name}})
	return p
}

// What is added starts at once, whatever the others wait for, and never again.
func TestAddedContainersRunOnce(t *testing.T) {
	w := always
	w.InitContainers = []agentpb.Container{{Name: "i"}}
	p := start(t, w, agentpb.Container{Name: "a"})
	p.add("d")
	p.want("Start{{i 0}} Start{{d 0}}")
	p.add("d") // once more
	p.add("a") // of a name that is taken
	p.runs("d")
	p.exits("d", 3)
	p.pass(time.Hour)
	p.want("")
	if s := p.m.State(); len(s.EphemeralContainers) != 1 || s.EphemeralContainers[0].State.Terminated.ExitCode != 3 || s.Finished {
		t.Errorf("%+v", s)
	}
	p.runs("i")
	p.exits("i", 0)
	p.want("Start{{a 0}}")
}

// It ends when the main containers have, and keeps nothing up.
func TestAddedContainersEndWithTheOthers(t *testing.T) {
	p := start(t, agentpb.Workload{ID: "w", RestartPolicy: api.RestartNever, GracePeriod: 10 * time.Second}, agentpb.Container{Name: "a"})
	p.runs("a")
	p.add("d")
	p.runs("d")
	p.want("Start{{a 0}} Start{{d 0}}")
	p.exits("a", 0)
	p.want("Signal{{d 0} 15 false}")
	p.add("late")
	p.want("")
	p.pass(10 * time.Second)
	p.want("Signal{{d 0} 9 true}")
	p.exits("d", 137)
	if s := p.m.State(); !s.Finished || s.EphemeralContainers[1].State.Waiting == nil {
		t.Errorf("%+v", s)
	}
}

// It ends with the sandbox, and by a stop.
func TestAddedContainersAreStopped(t *testing.T) {
	for name, end := range map[string]Event{"lost": Lost{Loss: runtime.Loss{Message: "gone"}}, "stop": Stop{}} {
		p := start(t, always, agentpb.Container{Name: "a"})
		p.runs("a")
		p.add("d")
		p.runs("d")
		p.want("Start{{a 0}} Start{{d 0}}")
		p.step(end)
		if name == "stop" {
			p.want("Signal{{a 0} 9 true} Signal{{d 0} 9 true}")
			p.exits("a", 137)
			p.exits("d", 137)
		}
		if s := p.m.State(); !s.Finished || s.EphemeralContainers[0].State.Terminated == nil {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
