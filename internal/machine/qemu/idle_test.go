package qemu

import (
	"testing"
	"time"

	"cis/internal/machine"
)

// TestIdle: a VM that waits for work needs next to no processor.
func TestIdle(t *testing.T) {
	m := newMachine(t, newConfig(t))
	const id, cpu = "s-000000000001", 1000
	if err := m.Prepare(t.Context(), cpu, small); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), machine.Sandbox{ID: id, CPU: cpu, Memory: small, Pids: 200, Hostname: "web", NIC: newNIC(t)}); err != nil {
		t.Fatal(err)
	}
	seconds := func() float64 {
		t.Helper()
		usage, err := m.cgroups.Usage(m.group(id))
		if err != nil {
			t.Fatal(err)
		}
		return usage.CPUSeconds
	}
	// What the start left to do may take some of these.
	const idle = 3 * time.Second
	var part float64
	for range 10 {
		before := seconds()
		time.Sleep(idle)
		if part = (seconds() - before) / idle.Seconds(); part < 0.08 {
			return
		}
	}
	t.Errorf("it takes %.0f %% of a processor", 100*part)
}
