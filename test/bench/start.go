package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"cis/api"
	"cis/test/stage"
)

// pair is a stage with a podman beside it.
type pair struct {
	*stage.Stage
	podman *podman
}

func (b *bench) open(ctx context.Context, flags ...string) (*pair, error) {
	s, err := stage.Open(ctx, stage.Config{Bin: b.bin, Flags: flags})
	if err != nil {
		return nil, err
	}
	p, err := newPodman(ctx, filepath.Join(s.Dir, "podman"), filepath.Join(s.Bin, "runsc"), s.Image)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	both := &pair{s, p}
	// The first run of each pulls, and fills the page cache.
	if _, err := both.run(ctx, "echo", "hi"); err != nil {
		return nil, errors.Join(err, both.close())
	}
	if _, err := p.run(ctx, "echo", "hi"); err != nil {
		return nil, errors.Join(err, both.close())
	}
	return both, nil
}

func (p *pair) close() error { return errors.Join(p.podman.close(), p.Close()) }

// run is `cis run --rm`; it returns how long the whole process took.
func (p *pair) run(ctx context.Context, command ...string) (time.Duration, error) {
	r, err := p.Cis(ctx, "", append([]string{"run", "--rm", p.Image}, command...)...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("cis run: exit code %d: %s", r.Code, r.Stderr)
	}
	return r.Took, err
}

// standby waits until waiting sandboxes are as many as wanted.
func (p *pair) standby(ctx context.Context) error {
	for {
		info, err := p.Client.Info(ctx)
		if err != nil {
			return err
		}
		full := true
		for _, s := range info.Standby {
			full = full && s.Ready == s.Wanted
		}
		if full {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// alternate runs cis and podman in turn.
func (b *bench) alternate(ctx context.Context, p *pair) (cis, podman sample, err error) {
	for range b.runs {
		if err := p.standby(ctx); err != nil {
			return nil, nil, err
		}
		took, err := p.run(ctx, "echo", "hi")
		if err != nil {
			return nil, nil, err
		}
		cis = append(cis, took)
		// The pool is full again, so that podman has the machine to itself too.
		if err := p.standby(ctx); err != nil {
			return nil, nil, err
		}
		if took, err = p.podman.run(ctx, "echo", "hi"); err != nil {
			return nil, nil, err
		}
		podman = append(podman, took)
	}
	return cis, podman, nil
}

func (b *bench) warm(ctx context.Context) error {
	return b.runTo(ctx, "run to exit, standby sandbox ready", "0.25", "-standby", "2")
}

func (b *bench) cold(ctx context.Context) error {
	return b.runTo(ctx, "run to exit, no standby", "0.60", "-standby", "0")
}

func (b *bench) runTo(ctx context.Context, what, goal string, flags ...string) (err error) {
	p, err := b.open(ctx, flags...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	cis, podman, err := b.alternate(ctx, p)
	if err != nil {
		return err
	}
	b.table.compare(what, cis, podman, goal)
	return b.split(ctx, p)
}

// split adds rows of where the time of a create goes, from the records of as many
// further runs.
func (b *bench) split(ctx context.Context, p *pair) error {
	var own sample
	names := []string{"admission", "image", "network", "sandbox", "container", "total", "first output"}
	of := func(t api.Timings) []float64 {
		return []float64{t.Admission, t.Image, t.Network, t.Sandbox, t.Container, t.Total, t.FirstOutput}
	}
	samples := make([]sample, len(names))
	for i := range b.runs {
		if err := p.standby(ctx); err != nil {
			return err
		}
		name := fmt.Sprintf("split-%d", i)
		if r, err := p.Cis(ctx, "", "run", "--name", name, p.Image, "echo", "hi"); err != nil || r.Code != 0 {
			return fmt.Errorf("cis run: %w, exit code %d: %s", err, r.Code, r.Stderr)
		}
		in, err := p.Client.Get(ctx, name)
		if err != nil {
			return err
		}
		t := in.Status.Timings
		for i, ms := range of(t) {
			samples[i] = append(samples[i], time.Duration(ms*1e6))
		}
		// Image and network run side by side: the longer one counts.
		others := max(t.Image, t.Network) + t.Sandbox + t.Container
		own = append(own, time.Duration(max(0, t.Total-others)*1e6))
		if err := p.Client.Remove(ctx, name, true, nil); err != nil {
			return err
		}
	}
	for i, s := range samples {
		b.table.add("  of it: "+names[i], s.String(), "", "", "")
	}
	b.table.add("  of it: the engine's own share", own.String(), "", "", "15 ms")
	return nil
}

// atOnce asks for many instances at the same time.
func (b *bench) atOnce(ctx context.Context) (err error) {
	p, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	const rounds = 3
	var cis, cisEach, podman, podmanEach sample
	for range rounds {
		if err := p.standby(ctx); err != nil {
			return err
		}
		all, each, err := burst(b.burst, func() (time.Duration, error) { return p.run(ctx, "echo", "hi") })
		if err != nil {
			return err
		}
		cis, cisEach = append(cis, all), append(cisEach, each...)
		if all, each, err = burst(b.burst, func() (time.Duration, error) { return p.podman.run(ctx, "echo", "hi") }); err != nil {
			return err
		}
		podman, podmanEach = append(podman, all), append(podmanEach, each...)
	}
	b.table.compare(fmt.Sprintf("%d at once, until all have run", b.burst), cis, podman, "0.50")
	b.table.add("  latency of each", cisEach.String(), podmanEach.String(), "", "")
	b.table.add("  p99 of these by their median", spread(cisEach), spread(podmanEach), "", "3")
	return nil
}

func spread(s sample) string {
	return fmt.Sprintf("%.2f", float64(s.quantile(0.99))/float64(s.median()))
}

// burst runs something many times at once.
func burst(n int, run func() (time.Duration, error)) (all time.Duration, each sample, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	began := time.Now()
	for range n {
		wg.Go(func() {
			took, runErr := run()
			mu.Lock()
			defer mu.Unlock()
			each, err = append(each, took), errors.Join(err, runErr)
		})
	}
	wg.Wait()
	return time.Since(began), each, err
}

// commandLine measures the start of cis itself.
func (b *bench) commandLine(ctx context.Context) error {
	var s sample
	for range b.runs {
		began := time.Now()
		if err := exec.CommandContext(ctx, filepath.Join(b.bin, "cis"), "version", "--client").Run(); err != nil {
			return err
		}
		s = append(s, time.Since(began))
	}
	b.table.add("cis version --client", s.String(), "", "", "20 ms")
	return nil
}
