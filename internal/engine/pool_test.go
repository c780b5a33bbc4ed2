package engine

import (
	"testing"
	"time"

	"cis/api"
)

func TestStandby(t *testing.T) {
	shapes := StandbyConfig{Shapes: []StandbyShape{{CPU: 500, Memory: 256 * api.MiB, Count: 2}}, MaxMemory: api.GiB}
	b := newBench(t, func(c *Config) { c.Standby = shapes })
	b.untilReady(2)
	b.create(request("a", "sleep"))
	in := b.untilRunning("a")
	if !in.Status.Standby {
		t.Error("not from the pool")
	}
	other := request("b", "sleep")
	other.Memory = 128 * api.MiB
	b.create(other)
	if in := b.untilRunning("b"); in.Status.Standby {
		t.Error("another size came from the pool")
	}
	b.untilReady(2)
	b.reopen()
	b.untilReady(2)
	if n, _ := b.host.left(); n != 4 {
		t.Errorf("%d sandboxes after a restart: the waiting ones are to be taken up", n)
	}
	// What instances need, the pool gives back.
	big := request("c", "sleep")
	big.Memory = b.capacity.free() - 40*api.MiB
	b.create(big)
	b.untilRunning("c")
	b.untilReady(0)
	for _, name := range []string{"a", "b", "c"} {
		b.remove(name, true)
	}
	b.untilReady(2)
}

func (b *bench) untilReady(n int) {
	b.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		info := b.pool.info()[0]
		if info.Ready == n {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("the pool has %+v, want %d", info, n)
		}
	}
}

func TestAStandbySandboxThatDiesIsReplaced(t *testing.T) {
	shapes := StandbyConfig{Shapes: []StandbyShape{{CPU: 500, Memory: 256 * api.MiB, Count: 1}}, MaxMemory: api.GiB}
	b := newBench(t, func(c *Config) { c.Standby = shapes })
	b.untilReady(1)
	b.host.only(t).cancel()
	for b.host.countStarts() < 2 {
		time.Sleep(time.Millisecond)
	}
	b.untilReady(1)
}
