package qemu

import (
	"fmt"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/machine"
	"cis/internal/testbox"
)

// BenchmarkCopy starts a VM from its template and runs one short program in it, and
// reports the parts in milliseconds.
func BenchmarkCopy(b *testing.B) { benchmarkCopy(b, false) }

// BenchmarkAhead does the same with a VM that was started ahead.
func BenchmarkAhead(b *testing.B) { benchmarkCopy(b, true) }

func benchmarkCopy(b *testing.B, ahead bool) {
	m := newMachine(b, newConfig(b))
	const cpu = 2000
	if err := m.Prepare(b.Context(), cpu, small); err != nil {
		b.Fatal(err)
	}
	image := testbox.Image(b, nil)
	parts := map[string]time.Duration{}
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		s := machine.Sandbox{ID: fmt.Sprintf("s-%012x", n), CPU: cpu, Memory: small, Pids: 200, Hostname: "web", Ahead: ahead, Layer: api.GiB, NIC: newNIC(b)}
		b.StartTimer()
		at := time.Now()
		part := func(name string, err error) {
			b.Helper()
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			parts[name] += now.Sub(at)
			at = now
		}
		part("start", m.Start(b.Context(), s))
		conn, err := m.Connect(b.Context(), s.ID)
		part("connect", err)
		client := agentclient.New(conn)
		part("equip", m.Equip(b.Context(), s.ID, machine.Disks{Images: []machine.Image{{Path: image}}, Layers: []machine.Layer{{Container: "main", Size: api.GiB}}}))
		part("run", client.Run(b.Context(), &agentpb.Workload{ID: "run", Hostname: "web", RestartPolicy: api.RestartNever, Pids: 200, Memory: small,
			Containers: []agentpb.Container{{Name: "main", Rootfs: image, Args: []string{"/bin/echo", "hi"}, Cwd: "/"}}}))
		for state, err := range client.Watch(b.Context(), 0) {
			if err != nil || state.Finished {
				part("container", err)
				break
			}
		}
		b.StopTimer()
		client.Close()
		if err := m.Destroy(b.Context(), s.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	for name, took := range parts {
		b.ReportMetric(float64(took.Milliseconds())/float64(b.N), name+"-ms")
	}
}
