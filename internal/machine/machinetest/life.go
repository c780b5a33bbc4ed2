package machinetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"
)

func (s *suite) check(t *testing.T) {
	began := time.Now()
	detail, err := s.New(t).Check(t.Context())
	if err != nil || detail == "" || time.Since(began) > 10*time.Second {
		t.Errorf("%q %v after %v", detail, err, time.Since(began))
	}
}

func (s *suite) life(t *testing.T) {
	spec := s.sandbox(t)
	b := s.start(t, spec)
	if listed, err := b.m.List(t.Context()); err != nil || !slices.Contains(listed, spec.ID) {
		t.Errorf("list: %v %v", listed, err)
	}
	if s, err := b.Client.Stats(t.Context()); err != nil || s.Pids != 0 || len(s.Containers) != 0 {
		t.Errorf("an empty sandbox has %v, %v", s, err)
	}
	if usage, err := b.m.Stats(t.Context(), spec.ID); err != nil || usage.CPUSeconds <= 0 || usage.Memory <= 0 || usage.Memory > spec.Memory {
		t.Errorf("stats: %+v %v", usage, err)
	}
	began := time.Now()
	if err := b.m.Destroy(t.Context(), spec.ID); err != nil {
		t.Fatal(err)
	}
	t.Logf("destroyed in %v", time.Since(began))
	select {
	case <-b.Done():
	case <-time.After(time.Second):
		t.Error("the connection outlives the sandbox")
	}
	if _, err := b.m.Connect(t.Context(), spec.ID); !isNotFound(err) {
		t.Errorf("connect after the end: %v", err)
	}
}

func (s *suite) absent(t *testing.T) {
	m := s.New(t)
	const id = "s-ffffffffffff"
	if err := m.Destroy(t.Context(), id); err != nil {
		t.Errorf("destroy: %v", err)
	}
	if _, err := m.Connect(t.Context(), id); !isNotFound(err) {
		t.Errorf("connect: %v", err)
	}
	if _, err := m.Stats(t.Context(), id); !isNotFound(err) {
		t.Errorf("stats: %v", err)
	}
	if err := m.Pause(t.Context(), id); !isNotFound(err) {
		t.Errorf("pause: %v", err)
	}
	if err := m.Resume(t.Context(), id); !isNotFound(err) {
		t.Errorf("resume: %v", err)
	}
	for _, bad := range []string{"", "..", "s-1/../..", "S-000000000000"} {
		if m.Destroy(t.Context(), bad) == nil {
			t.Errorf("destroyed %q", bad)
		}
	}
}

// twice: a second start of an ID fails and does the first one no harm.
func (s *suite) twice(t *testing.T) {
	spec := s.sandbox(t)
	b := s.start(t, spec)
	if b.m.Start(t.Context(), spec) == nil {
		t.Error("started twice")
	}
	if _, err := b.Client.Stats(t.Context()); err != nil {
		t.Error(err)
	}
}

func (s *suite) cancelled(t *testing.T) {
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		spec := s.sandbox(t)
		m := s.New(t)
		if m.Start(ctx, spec) == nil { // it was fast
			m.Destroy(t.Context(), spec.ID)
		}
		cancel()
		if left, err := m.List(t.Context()); err != nil || len(left) > 0 {
			t.Errorf("cancelled after %v, left behind: %v %v", after, left, err)
		}
	}
}

// broken: a start that cannot succeed says why.
func (s *suite) broken(t *testing.T) {
	spec := s.sandbox(t)
	spec.NIC.NetNS = "/nowhere"
	err := s.New(t).Start(t.Context(), spec)
	if err == nil {
		t.Fatal("started without a network namespace")
	}
	t.Log(err)
}

// outlives: a new machine finds, reaches and ends what an earlier one started.
func (s *suite) outlives(t *testing.T) {
	spec := s.sandbox(t)
	b := s.start(t, spec)
	s.shell(b, "main", "sleep 1000")
	b.begin(t)
	b.until(t, running)
	b.Close()
	b.m = s.New(t)
	b.connect(t)
	if state := b.until(t, running); state.WorkloadID != b.load.ID {
		t.Errorf("%+v", state)
	}
	if err := b.m.Destroy(t.Context(), spec.ID); err != nil {
		t.Error(err)
	}
}

func (s *suite) atOnce(t *testing.T) {
	const count = 8
	m := s.New(t)
	var all sync.WaitGroup
	for range count {
		spec := s.sandbox(t)
		all.Go(func() {
			if err := m.Start(t.Context(), spec); err != nil {
				t.Error(err)
			}
			if _, err := m.Stats(t.Context(), spec.ID); err != nil {
				t.Error(err)
			}
			if err := m.Destroy(t.Context(), spec.ID); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
