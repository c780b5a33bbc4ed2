package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cis/api"
	"cis/internal/meter"
)

// kill ends the engine with no time for a last word.
func (b *bench) kill() {
	b.cancel()
	b.wg.Wait()
	b.images.Close()
	b.store.Close()
}

// intervals are all that is metered, in the order of their starts.
func (b *bench) intervals() (all []meter.Interval) {
	b.t.Helper()
	err := b.store.Usage(context.Background(), "default", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "", func(i meter.Interval) {
		n := len(all)
		for n > 0 && all[n-1].Start.After(i.Start) {
			n--
		}
		all = append(all[:n], append([]meter.Interval{i}, all[n:]...)...)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// isRun checks that an interval is that of an instance's run, to the nanosecond.
func isRun(t *testing.T, i meter.Interval, in api.Instance) {
	t.Helper()
	if !i.Start.Equal(*in.Status.StartedAt) || !i.End.Equal(*in.Status.FinishedAt) {
		t.Errorf("metered %v to %v, it ran %v to %v", i.Start, i.End, in.Status.StartedAt, in.Status.FinishedAt)
	}
}

func TestEachRunIsMetered(t *testing.T) {
	prices, err := meter.ParsePrices([]byte("currency: EUR\nvcpuHour: 3600"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(c *Config) { c.Prices = prices })
	b.create(request("a", "sleep", "100"))
	first := b.untilFinished("a")
	if _, err := b.Start(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	second := b.until("a", "finished again", func(in api.Instance) bool { return in.Status.Phase.Finished() })
	all := b.intervals()
	if len(all) < 2 {
		t.Fatalf("%+v", all)
	}
	isRun(t, all[0], first)
	isRun(t, all[1], second)
	if all[0].Run != 1 || all[1].Run != 2 || all[0].CPU != 500 || all[0].Isolation != api.IsolationGVisor || len(all[0].Sent) != 1 || all[0].Sent[0].Bytes != 2 {
		t.Errorf("%+v", all[:2])
	}
	if err := b.Remove(t.Context(), "a", false, nil); err != nil {
		t.Fatal(err)
	}
	opts := api.UsageOptions{Instance: first.ID}
	opts.Default(time.Now().Add(time.Second))
	u, err := b.Usage(t.Context(), opts) // it is gone, not forgotten
	if err != nil || len(u.Items) != 1 || u.Items[0].Name != "a" || u.Currency != "EUR" || u.Total.Cost == "0" {
		t.Errorf("%+v, %v", u, err)
	}
	if p, err := b.Price(t.Context(), api.PriceOptions{CPU: 500, Isolation: api.IsolationAuto}); err != nil || p.PerHour != "1800" || p.Isolation != api.IsolationGVisor {
		t.Errorf("%+v, %v", p, err)
	}
	opts.Instance = "nobody"
	if _, err := b.Usage(t.Context(), opts); api.CodeOf(err) != api.Invalid {
		t.Errorf("usage of nobody: %v", err)
	}
}

// A program that did not run costs nothing.
func TestWhatNeverRanIsNotMetered(t *testing.T) {
	b := newBench(t)
	req := request("a", "sleep")
	req.Containers[0].Image, req.Containers[0].ImagePullPolicy = "nowhere", api.PullNever
	b.create(req)
	b.untilFinished("a")
	if all := b.intervals(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// The engine is killed before, while and after an instance runs: its interval is that of
// its programs, also of those that ended while nobody looked.
func TestMeteringOutlivesKills(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep", "1500"))
	b.kill()
	b.open()
	b.untilRunning("a")
	for range 3 {
		b.kill()
		b.open()
	}
	b.kill()
	time.Sleep(2 * time.Second)
	b.open()
	end := b.untilFinished("a")
	b.kill()
	b.open()
	all := b.intervals()
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	isRun(t, all[0], end)
	if length := all[0].End.Sub(all[0].Start); length < 1400*time.Millisecond || length > 1950*time.Millisecond {
		t.Errorf("it ran for %v", length)
	}
}

// Instances run while the engine is killed at random, again and again: each is metered
// once, for as long as it ran.
func TestMeteringOutlivesRandomKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newBench(t)
	for n := range 5 {
		b.create(request(fmt.Sprintf("a%d", n), "sleep", fmt.Sprint(100+random.IntN(1500))))
		b.kill()
		b.open()
	}
	for range 10 {
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		if random.IntN(3) == 0 {
			b.mark(t.Context())
		}
		b.kill()
		b.open()
	}
	runs := map[string]api.Instance{}
	for n := range 5 {
		in := b.untilFinished(fmt.Sprintf("a%d", n))
		runs[in.ID] = in
	}
	all := b.intervals()
	if len(all) != len(runs) {
		t.Errorf("%d intervals of %d instances: %+v", len(all), len(runs), all)
	}
	for _, i := range all {
		isRun(t, i, runs[i.Instance])
	}
}

// After a reboot of the host nobody knows when programs ended: they are metered up to the
// last mark.
func TestAfterARebootTheLastMarkCounts(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	started := *b.untilRunning("a").Status.StartedAt
	b.until("a", "marked", func(api.Instance) bool {
		b.mark(t.Context())
		return b.intervals()[0].Seen.After(started)
	})
	seen := b.intervals()[0].Seen
	time.Sleep(300 * time.Millisecond)
	b.kill()
	for id := range b.host.sandboxes {
		b.host.Destroy(t.Context(), id)
	}
	b.open()
	b.untilFinished("a")
	if all := b.intervals(); len(all) != 1 || !all[0].Start.Equal(started) || !all[0].End.Equal(seen) {
		t.Errorf("%+v, seen %v", all, seen)
	}
}

// A sandbox that is lost ends an interval, the one that takes its place begins another;
// the time between costs nothing.
func TestEachSandboxOfARunIsMetered(t *testing.T) {
	b := newBench(t)
	req := request("a", "sleep")
	req.RestartPolicy = api.RestartAlways
	b.create(req)
	b.untilRunning("a")
	lost := time.Now()
	for id := range b.host.sandboxes {
		b.host.Destroy(t.Context(), id)
	}
	b.until("a", "running again", func(api.Instance) bool { return len(b.intervals()) == 2 })
	end, err := b.Stop(t.Context(), "a", new(time.Duration))
	if err != nil {
		t.Fatal(err)
	}
	all := b.intervals()
	if all[0].End.Before(lost) || all[1].Start.Before(all[0].End) || !all[1].End.Equal(*end.Status.FinishedAt) || all[0].Run != all[1].Run {
		t.Errorf("lost %v: %+v", lost, all)
	}
}

func TestPublicAddressesAreMetered(t *testing.T) {
	b := newBench(t, withPublic)
	if _, err := b.CreateAddress(t.Context(), api.Address{Name: "front"}); err != nil {
		t.Fatal(err)
	}
	req := request("a", "sleep")
	req.Network.PublicAddress = "front"
	b.create(req)
	b.untilRunning("a")
	if _, err := b.UnbindAddress(t.Context(), "front"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.BindAddress(t.Context(), "front", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stop(t.Context(), "a", new(time.Duration)); err != nil {
		t.Fatal(err)
	}
	all := b.intervals()
	spans := all[0].Addresses
	if len(spans) != 2 || !spans[0].Start.Equal(all[0].Start) || spans[0].End.After(spans[1].Start) || !spans[1].End.IsZero() {
		t.Errorf("%+v", all)
	}
}
