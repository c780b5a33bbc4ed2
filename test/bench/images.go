package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/internal/busybox"
	"cis/test/stage"
)

// pull measures a pull of an image with much data, down to the file that is mounted.
func (b *bench) pull(ctx context.Context) (err error) {
	p, err := b.open(ctx, "-standby", "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	layer, err := dataLayer(b.data)
	if err != nil {
		return err
	}
	if err := p.Push(ctx, "data:1", busybox.Options{Layers: []v1.Layer{layer}}); err != nil {
		return err
	}
	var cis, podman sample
	ref := p.Registry + "/data:1"
	for range 3 {
		r, err := p.Cis(ctx, "", "image", "pull", "-q", ref)
		if err != nil || r.Code != 0 {
			return fmt.Errorf("cis image pull: %w, exit code %d: %s", err, r.Code, r.Stderr)
		}
		cis = append(cis, r.Took)
		if r, err := p.Cis(ctx, "", "image", "rm", ref); err != nil || r.Code != 0 {
			return fmt.Errorf("cis image rm: %w, exit code %d: %s", err, r.Code, r.Stderr)
		}
		began := time.Now()
		if err := p.podman.pull(ctx, ref); err != nil {
			return err
		}
		podman = append(podman, time.Since(began))
		if out, err := p.podman.command(ctx, "rmi", ref).CombinedOutput(); err != nil {
			return fmt.Errorf("podman rmi: %w\n%s", err, out)
		}
	}
	b.table.compare(fmt.Sprintf("pull of an image of %d MiB", b.data), cis, podman, "")
	rate := func(s sample) string { return fmt.Sprintf("%.0f MiB/s", float64(b.data)/s.median().Seconds()) }
	b.table.add("  throughput", rate(cis), rate(podman), "", "")
	return nil
}

// dataLayer has files of 1 MiB, half of it random, so that it compresses as
// programs do.
func dataLayer(mib int) (v1.Layer, error) {
	random := rand.NewChaCha8([32]byte{1})
	files := []busybox.File{{Name: "data/"}}
	for i := range mib {
		content := make([]byte, 1<<20)
		random.Read(content[:len(content)/2])
		files = append(files, busybox.File{Name: fmt.Sprintf("data/%d", i), Content: content})
	}
	return busybox.Layer(files...)
}

// inARow compares the last of many creates with the first; their records stay.
func (b *bench) inARow(ctx context.Context) (err error) {
	s, err := stage.Open(ctx, stage.Config{Bin: b.bin, Flags: []string{"-standby", "0"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var all, total sample
	for i := range b.creates {
		name := fmt.Sprintf("row-%d", i)
		r, err := s.Cis(ctx, "", "run", "--name", name, s.Image, "true")
		if err != nil || r.Code != 0 {
			return fmt.Errorf("cis run: %w, exit code %d: %s", err, r.Code, r.Stderr)
		}
		in, err := s.Client.Get(ctx, name)
		if err != nil {
			return err
		}
		all, total = append(all, r.Took), append(total, time.Duration(in.Status.Timings.Total*1e6))
	}
	n := max(1, min(20, b.creates/4))
	// The very first pulls the image.
	first, last := all[1:n+1], all[len(all)-n:]
	b.table.add(fmt.Sprintf("run, the first %d of %d in a row", n, b.creates), first.String(), "", "", "")
	b.table.add(fmt.Sprintf("run, the last %d of them", n), last.String(), "", fmt.Sprintf("%.2f", float64(last.median())/float64(first.median())), "1.00")
	b.table.add("  of these: total of the create", total[len(total)-n:].String(), "", "", "")
	return nil
}
