package runtimetest

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// testStats: what each container uses is its own, and counted from its attempt's start.
func testStats(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{})
	idle := b.Begin(b.Shell("idle", "cat"))
	// As much memory as the line is long that tail has to keep.
	busy := b.Begin(b.Shell("busy", "dd if=/dev/zero of=/big bs=1M count=8; (head -c 40000000 /dev/zero; sleep 1000) | tail & while :; do :; done"))
	b.Ready("busy", "test $(stat -c %s /big) = 8388608")
	ofIdle, ofBusy := b.stats("idle"), b.stats("busy")
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ofIdle, ofBusy = b.stats("idle"), b.stats("busy")
		if ofBusy.CpuNanoseconds > int64(time.Second) && api.Bytes(ofBusy.Memory) > 38*api.MiB {
			break
		}
	}
	if ofBusy.CpuNanoseconds < int64(time.Second) || ofIdle.CpuNanoseconds > ofBusy.CpuNanoseconds/2 {
		t.Errorf("cpu: busy %v, idle %v", time.Duration(ofBusy.CpuNanoseconds), time.Duration(ofIdle.CpuNanoseconds))
	}
	if api.Bytes(ofBusy.Memory) < 38*api.MiB || ofIdle.Memory <= 0 || api.Bytes(ofIdle.Memory) > 16*api.MiB {
		t.Errorf("memory: busy %v, idle %v", api.Bytes(ofBusy.Memory), api.Bytes(ofIdle.Memory))
	}
	for _, s := range []*agentpb.ContainerStats{ofIdle, ofBusy} {
		if s.MemoryUsage < s.Memory || s.MemoryRss > s.MemoryUsage {
			t.Errorf("memory: %v", s)
		}
	}
	if api.Bytes(ofBusy.Disk) < 8*api.MiB {
		t.Errorf("disk: %v", api.Bytes(ofBusy.Disk))
	}
	for _, r := range []*Running{busy, idle} {
		if err := r.Signal(t.Context(), int(unix.SIGKILL), true); err != nil {
			t.Fatal(err)
		}
		r.End()
		if err := r.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := b.Runtime.Stats(t.Context()); err != nil || len(s.Containers) != 0 {
		t.Errorf("after their end: %v %v", s, err)
	}
}

// stats of a container that is there.
func (b *Box) stats(name string) *agentpb.ContainerStats {
	b.T.Helper()
	s, err := b.Runtime.Stats(b.T.Context())
	if err != nil {
		b.T.Fatal(err)
	}
	i := slices.IndexFunc(s.Containers, func(c *agentpb.ContainerStats) bool { return c.Name == name })
	if i < 0 {
		b.T.Fatalf("no %s in %v", name, s)
	}
	return s.Containers[i]
}
