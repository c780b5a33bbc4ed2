package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cis/api"
)

// Whatever is asked of instances in whatever order, and however often the server
// restarts: in the end nothing is left on the host, and every record is at an end.
func TestRandomLives(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	b := newBench(t, func(c *Config) {
		c.Standby = StandbyConfig{Shapes: []StandbyShape{{CPU: 500, Memory: 256 * api.MiB, Count: 1}}, MaxMemory: api.GiB}
	})
	zero := new(time.Duration)
	for range 120 {
		name := fmt.Sprintf("n%d", r.IntN(6))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		what := r.IntN(9)
		switch what {
		case 0, 1, 2:
			req := request(name, []string{"sleep", "exit", "echo", "graceful"}[r.IntN(4)])
			req.RestartPolicy = []api.RestartPolicy{api.RestartNever, api.RestartAlways}[r.IntN(2)]
			req.RemoveAfter = r.IntN(4) == 0
			if _, _, err := b.Create(ctx, req); err != nil && api.CodeOf(err) != api.Conflict {
				t.Errorf("seed %d: create: %v", seed, err)
			}
		case 3:
			b.Stop(ctx, name, zero)
		case 4:
			b.Start(ctx, name)
		case 5:
			b.Restart(ctx, name, zero)
		case 6:
			b.Remove(ctx, name, true, zero)
		case 7:
			if ids, _ := b.host.List(ctx); len(ids) > 0 && r.IntN(2) == 0 {
				b.host.Destroy(ctx, ids[0])
			}
		case 8:
			b.reopen()
		}
		if ctx.Err() != nil {
			in, err := b.Get(t.Context(), name)
			t.Fatalf("seed %d: request %d hangs on %+v, %v", seed, what, in, err)
		}
		cancel()
	}
	for n := range 6 {
		if err := b.Remove(t.Context(), fmt.Sprintf("n%d", n), true, zero); err != nil && api.CodeOf(err) != api.NotFound {
			t.Errorf("seed %d: remove: %v", seed, err)
		}
	}
	b.close()
	b.config.Standby = StandbyConfig{}
	b.open()
	b.untilClean()
	if used, _ := b.networks.subnetOf("").addresses.usage(); used != 0 {
		t.Errorf("seed %d: %d addresses are left", seed, used)
	}
	if i := b.capacity.info(); i.CPUUsed != 0 || i.MemoryUsed != 0 {
		t.Errorf("seed %d: capacity left in use: %+v", seed, i)
	}
}
