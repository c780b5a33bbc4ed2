package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cis/api"
)

// download gets the blobs of src, makes the image and leases it. Flattening
// takes the layers in order, each as soon as it is here.
func (s *Store) download(ctx context.Context, src *source, t *tracker) (_ *Lease, err error) {
	layers := src.manifest.Layers
	var total int64
	for _, l := range layers {
		if l.Size > s.opts.Limits.LayerBytes {
			return nil, api.Errorf(api.Invalid, "layer %s has %d bytes, more than %d", l.Digest, l.Size, s.opts.Limits.LayerBytes)
		}
		total += l.Size
	}
	config, err := s.fetchConfig(ctx, src)
	if err != nil {
		return nil, err
	}
	s.blobs.hold(layers)
	defer func() { s.blobs.release(layers, err == nil) }()
	t.set(func(p *Progress) { p.Phase, p.TotalBytes, p.Layers = Downloading, total, len(layers) })

	ctx, cancel := context.WithCancelCause(ctx)
	fetched := s.fetchLayers(ctx, cancel, src, t)
	defer func() { cancel(nil); fetched.wait() }()
	b := build{digest: src.digest, config: config, compressed: total}
	for i := range layers {
		b.layers = append(b.layers, func(ctx context.Context) (io.ReadCloser, error) {
			name, err := fetched.layer(ctx, i)
			if err != nil {
				return nil, err
			}
			return os.Open(name)
		})
	}
	lease, err := s.build(ctx, b, t)
	if err != nil {
		return nil, cause(ctx, err) // the layer that failed, not the one that waited
	}
	return lease, nil
}

// fetchConfig gets the image's config. It is small, so it is not kept.
func (s *Store) fetchConfig(ctx context.Context, src *source) (*ocispec.Image, error) {
	if n := src.manifest.Config.Size; n > maxConfig {
		return nil, api.Errorf(api.Invalid, "its config exceeds %d MiB", maxConfig>>20)
	}
	var err error
	for range downloadTries {
		var c *ocispec.Image
		if c, err = s.fetchConfigOnce(ctx, src); err == nil {
			return c, nil
		}
		if ctx.Err() != nil || !mayPass(err) {
			break
		}
	}
	return nil, fmt.Errorf("config %s: %w", src.manifest.Config.Digest, err)
}

func (s *Store) fetchConfigOnce(ctx context.Context, src *source) (*ocispec.Image, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.blobs.stall, errStalled)
	defer cancel()
	resp, err := src.repo.blob(ctx, src.manifest.Config.Digest, 0)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer resp.Body.Close()
	c, err := readConfig(resp.Body, src.manifest, s.opts.Architecture)
	if err != nil {
		return nil, cause(ctx, err)
	}
	return c, nil
}

// fetching is the download of all layers of an image, side by side.
type fetching struct {
	layers []fetched
	group  sync.WaitGroup
}

type fetched struct {
	done chan struct{}
	name string
	err  error
}

// fetchLayers begins the download. The first failure cancels the rest.
func (s *Store) fetchLayers(ctx context.Context, cancel context.CancelCauseFunc, src *source, t *tracker) *fetching {
	f := &fetching{layers: make([]fetched, len(src.manifest.Layers))}
	var left sync.WaitGroup
	for i, d := range src.manifest.Layers {
		l := &f.layers[i]
		l.done = make(chan struct{})
		left.Add(1)
		f.group.Go(func() {
			l.name, l.err = s.blobs.get(ctx, src.repo, d, t.add)
			if l.err != nil {
				cancel(l.err)
			}
			close(l.done)
			left.Done()
		})
	}
	f.group.Go(func() {
		left.Wait()
		if ctx.Err() == nil {
			t.set(func(p *Progress) { p.Phase = Flattening })
		}
	})
	return f
}

// layer waits for one layer and returns its file.
func (f *fetching) layer(ctx context.Context, i int) (string, error) {
	l := &f.layers[i]
	select {
	case <-l.done:
		return l.name, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (f *fetching) wait() { f.group.Wait() }
