package gvisor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
)

// TestAgentKilledPaused: a paused sandbox does not see its agent's end; it goes with
// the others.
func TestAgentKilledPaused(t *testing.T) {
	m := newMachine(t, newConfig(t))
	s := spec(t, 1)
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := m.Pause(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	unix.Kill(m.processes(t, m.agentGroup(s.ID))[0], unix.SIGKILL)
	time.Sleep(50 * time.Millisecond)
	if left, err := m.List(t.Context()); len(left) != 1 {
		t.Errorf("list: %v %v", left, err)
	}
	began := time.Now()
	if err := m.Clean(t.Context()); err != nil || time.Since(began) > time.Second {
		t.Errorf("cleaned in %v: %v", time.Since(began), err)
	}
}

func TestPauseCancelled(t *testing.T) {
	m := newMachine(t, newConfig(t))
	s := spec(t, 1)
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	defer m.Destroy(context.Background(), s.ID)
	kernel, err := m.kernel(s.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// It may have stopped at the first look; if not, it must go on.
	if err := m.Pause(ctx, s.ID); err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		time.Sleep(50 * time.Millisecond)
		if stopped, err := kernel.Stopped(); stopped || err != nil {
			t.Errorf("stopped %v after the error, %v", stopped, err)
		}
	}
}

// TestPauseForeign: a process outside of the sandbox is never stopped, though the
// sandbox's file names it.
func TestPauseForeign(t *testing.T) {
	m := newMachine(t, newConfig(t))
	id := spec(t, 1).ID
	for _, content := range []string{strconv.Itoa(os.Getpid()), "0", "-1", "x"} {
		if err := os.MkdirAll(m.dir(id), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.dir(id), "runsc.pid"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.Pause(t.Context(), id); api.CodeOf(err) != api.NotFound {
			t.Errorf("%q: %v", content, err)
		}
	}
	if err := m.Destroy(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func BenchmarkPause(b *testing.B) {
	m := newMachine(b, newConfig(b))
	s := spec(b, 1)
	if err := m.Start(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	defer m.Destroy(context.Background(), s.ID)
	var pauses, resumes []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := m.Pause(b.Context(), s.ID); err != nil {
			b.Fatal(err)
		}
		pauses = append(pauses, time.Since(began))
		began = time.Now()
		if err := m.Resume(b.Context(), s.ID); err != nil {
			b.Fatal(err)
		}
		resumes = append(resumes, time.Since(began))
		time.Sleep(5 * time.Millisecond) // it shall run when it is paused
	}
	slices.Sort(pauses)
	slices.Sort(resumes)
	b.ReportMetric(float64(pauses[len(pauses)/2].Microseconds()), "pause-median-µs")
	b.ReportMetric(float64(resumes[len(resumes)/2].Microseconds()), "resume-median-µs")
}
