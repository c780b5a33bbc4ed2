package machinetest

import (
	"context"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// resize gives a sandbox that runs less and more, and looks whether its program notices.
func (s *suite) resize(t *testing.T) {
	const small, large = 48 * api.MiB, 128 * api.MiB
	spec := s.sandbox(t)
	b := s.start(t, spec)
	s.shell(b, "main", "while :; do if test -e /busy; then :; else sleep 0.1; fi; done")
	b.begin(t)
	b.until(t, running)
	if err := b.m.Resize(t.Context(), "s-ffffffffffff", 100, large); !isNotFound(err) {
		t.Errorf("resize of nothing: %v", err)
	}

	b.exec(t, "main", "touch /busy")
	time.Sleep(1200 * time.Millisecond) // until the limit is enforced
	full := b.share(t)
	b.resize(t, 100, large)
	b.m = s.New(t)
	little := b.share(t)
	b.resize(t, 1000, large)
	again := b.share(t)
	if little > full/2 || little > again/2 {
		t.Errorf("of a processor it had %.2f, with a tenth %.2f, then %.2f", full, little, again)
	}
	b.exec(t, "main", "rm /busy")

	const fill = "dd if=/dev/zero of=/dev/null bs=80M count=1"
	b.exec(t, "main", "dd if=/dev/zero of=/dev/shm/x bs=1M count=60")
	if err := b.tryResize(t.Context(), 1000, small); api.CodeOf(err) != api.Exhausted {
		t.Errorf("less than is in use: %v", err)
	}
	if output, code := b.exec(t, "main", "wc -c </dev/shm/x; rm /dev/shm/x"); output != "62914560\n" || code != 0 {
		t.Errorf("after that: %q %d", output, code)
	}
	b.resize(t, 1000, small)
	b.resize(t, 1000, large)
	if output, code := b.exec(t, "main", fill); code != 0 {
		t.Errorf("with more memory again: %d %s", code, output)
	}
	b.resize(t, 1000, small)
	code, err := b.Exec(t.Context(), agentpb.ExecStart{Container: "main", Args: []string{"/bin/sh", "-c", fill}}, api.Streams{})
	if err == nil && code == 0 {
		t.Error("a program got more memory than the sandbox has")
	}
}

// share is how much of a processor the sandbox uses now.
func (b *box) share(t *testing.T) float64 {
	t.Helper()
	before, err := b.m.Stats(t.Context(), b.id)
	began := time.Now()
	if err == nil {
		time.Sleep(1500 * time.Millisecond)
	}
	after, failed := b.m.Stats(t.Context(), b.id)
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return (after.CPUSeconds - before.CPUSeconds) / time.Since(began).Seconds()
}

// resize tries until the memory is not in use any more.
func (b *box) resize(t *testing.T, cpu api.CPU, memory api.Bytes) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		err := b.tryResize(t.Context(), cpu, memory)
		if err == nil {
			return
		}
		if api.CodeOf(err) != api.Exhausted || time.Now().After(end) {
			t.Fatalf("resize to %s cores and %s: %v", cpu, memory, err)
		}
	}
}

// tryResize does as the engine does.
func (b *box) tryResize(ctx context.Context, cpu api.CPU, memory api.Bytes) error {
	steps := []func() error{
		func() error { return b.m.Resize(ctx, b.id, cpu, memory) },
		func() error { return b.Resize(ctx, memory) },
	}
	if memory < b.load.Memory {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	b.load.Memory = memory
	return nil
}
