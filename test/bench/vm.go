package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// openVM is open where instances are VMs, with a template of the default size.
func (b *bench) openVM(ctx context.Context, flags ...string) (*pair, error) {
	p, err := b.open(ctx, append([]string{"-isolation", "vm"}, flags...)...)
	if err != nil {
		return nil, err
	}
	for len(p.templates()) == 0 {
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), p.close())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return p, nil
}

// templates are the directories of finished ones.
func (p *pair) templates() []string {
	found, _ := filepath.Glob(filepath.Join(p.Dir, "data", "templates", "*", "*", "state")) // a bad pattern only
	return found
}

func (b *bench) vmWarm(ctx context.Context) error {
	return b.runVM(ctx, "VM: run to exit, one copied ahead", "-standby", "2")
}

func (b *bench) vmCopy(ctx context.Context) error {
	return b.runVM(ctx, "VM: run to exit, copied at the start", "-standby", "0")
}

func (b *bench) runVM(ctx context.Context, what string, flags ...string) (err error) {
	p, err := b.openVM(ctx, flags...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	cis, podman, err := b.alternate(ctx, p)
	if err != nil {
		return err
	}
	b.table.compare(what, cis, podman, "0.60")
	return b.split(ctx, p)
}

// vmBurst asks for many VMs at the same time, with as many waiting and with none.
func (b *bench) vmBurst(ctx context.Context) error {
	if err := b.burstVMs(ctx, "copied ahead", "20"); err != nil {
		return err
	}
	return b.burstVMs(ctx, "copied at the start", "0")
}

func (b *bench) burstVMs(ctx context.Context, how, standby string) (err error) {
	p, err := b.openVM(ctx, "-standby", standby, "-standby-max-memory", "8Gi")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	const count, rounds = 20, 3
	var all, each sample
	for range rounds {
		if err := p.standby(ctx); err != nil {
			return err
		}
		took, latencies, err := burst(count, func() (time.Duration, error) { return p.run(ctx, "echo", "hi") })
		if err != nil {
			return err
		}
		all, each = append(all, took), append(each, latencies...)
	}
	b.table.add(fmt.Sprintf("VM: %d at once, %s, until all have run", count, how), all.String(), "", "", "6000 ms")
	b.table.add("  latency of each", each.String(), "", "", "")
	return nil
}

// vmBoot starts VMs of sizes that nobody had before.
func (b *bench) vmBoot(ctx context.Context) (err error) {
	p, err := b.openVM(ctx, "-standby", "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var boots sample
	for i := range 5 {
		before := len(p.templates())
		r, err := p.Cis(ctx, "", "run", "--rm", "--memory", fmt.Sprintf("%dMi", 128+i), p.Image, "echo", "hi")
		if err != nil || r.Code != 0 {
			return fmt.Errorf("cis run: %w, exit code %d: %s", err, r.Code, r.Stderr)
		}
		boots = append(boots, r.Took)
		// The template of that size is made after that, and must not run into the next.
		for len(p.templates()) == before {
			time.Sleep(50 * time.Millisecond)
		}
	}
	b.table.add("VM: run to exit, booted", boots.String(), "", "", "2500 ms")
	return nil
}

// vmMemory measures idle VMs.
func (b *bench) vmMemory(ctx context.Context) (err error) {
	p, err := b.openVM(ctx, "-standby", "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	const count = 10
	for range count {
		if r, err := p.Cis(ctx, "", "run", "-d", "--memory", "256Mi", p.Image, "sleep", "1000"); err != nil || r.Code != 0 {
			return fmt.Errorf("cis run: %w, exit code %d: %s", err, r.Code, r.Stderr)
		}
	}
	time.Sleep(3 * time.Second)
	pids, err := members(p.Prefix + "/vm")
	if err != nil {
		return err
	}
	var total int64
	for _, pid := range pids {
		total += pss(pid)
	}
	b.table.add(fmt.Sprintf("VM: an idle instance of 256 MiB, PSS (mean of %d)", count), mebibytes(total/count), "", "", "96 MiB")
	for _, state := range p.templates()[:1] {
		size, err := onDisk(filepath.Dir(state))
		if err != nil {
			return err
		}
		b.table.add("  its template on disk", mebibytes(size), "", "", "")
	}
	return nil
}

// onDisk is what the files of a directory take, in bytes.
func onDisk(dir string) (size int64, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		blocks, statErr := blocks(filepath.Join(dir, entry.Name()))
		size, err = size+blocks*512, errors.Join(err, statErr)
	}
	return size, err
}

func blocks(path string) (int64, error) {
	var s unix.Stat_t
	err := unix.Stat(path, &s)
	return s.Blocks, err
}
