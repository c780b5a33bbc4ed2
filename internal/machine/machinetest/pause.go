package machinetest

import (
	"testing"
	"time"

	"cis/internal/agent/agentpb"
)

// pause: a paused sandbox uses nothing while its agent answers, works when it is
// resumed, and is destroyed as fast as another, also by a new machine.
func (s *suite) pause(t *testing.T) {
	spec := s.sandbox(t)
	b := s.start(t, spec)
	for range 3 {
		for range 2 { // and once more, when it stands still
			b.pause(t)
		}
		b.standsStill(t)
		b.Close()
		if !s.AgentInside {
			b.answers(t)
		}
		for range 2 { // and once more, when it goes on
			if err := b.m.Resume(t.Context(), spec.ID); err != nil {
				t.Fatal(err)
			}
		}
		if s.AgentInside {
			b.answers(t)
		}
	}
	s.shell(b, "main", "sleep 0.1; exit 3")
	if state := b.run(t); state.SandboxLost || state.Containers[0].State.Terminated.ExitCode != 3 {
		t.Errorf("resumed: %+v", state)
	}
}

func (s *suite) destroyPaused(t *testing.T) {
	spec := s.sandbox(t)
	b := s.start(t, spec)
	b.pause(t)
	b.m = s.New(t)
	began := time.Now()
	if err := b.m.Destroy(t.Context(), spec.ID); err != nil || time.Since(began) > time.Second {
		t.Errorf("destroyed in %v: %v", time.Since(began), err)
	}
}

func (b *box) pause(t *testing.T) {
	t.Helper()
	if err := b.m.Pause(t.Context(), b.id); err != nil {
		t.Fatal(err)
	}
}

// answers connects to the agent anew.
func (b *box) answers(t *testing.T) {
	t.Helper()
	b.connect(t)
	b.until(t, func(agentpb.State) bool { return true })
}

// standsStill looks for cpu that a paused sandbox uses: none, once each process of it that
// was at work when it was paused has come to its next wait.
func (b *box) standsStill(t *testing.T) {
	t.Helper()
	var used float64
	for range 3 {
		before, err := b.m.Stats(t.Context(), b.id)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		after, err := b.m.Stats(t.Context(), b.id)
		if err != nil {
			t.Fatal(err)
		}
		if used = after.CPUSeconds - before.CPUSeconds; used == 0 {
			return
		}
	}
	t.Errorf("used %vs in half a second while paused", used)
}
