package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"cis/api"
	"cis/internal/image/flatten"
)

// build is an image to be made of layers.
type build struct {
	digest     string
	config     *ocispec.Image
	compressed int64 // bytes of the layers as they came
	// layers give the archives, lowest first.
	layers []func(context.Context) (io.ReadCloser, error)
}

// metadata is image.json.
type metadata struct {
	Digest         string              `json:"digest"`
	Architecture   string              `json:"architecture"`
	Config         ocispec.ImageConfig `json:"config"`
	Created        time.Time           `json:"created,omitzero"`
	CompressedSize int64               `json:"compressedSize"`
	FullOffset     int64               `json:"fullOffset,omitempty"`
}

// image returns what the metadata in dir describes.
func (m *metadata) image(dir string) (Image, error) {
	rootfs := filepath.Join(dir, rootfsFile)
	if _, err := os.Stat(rootfs); err != nil {
		return Image{}, err
	}
	size, err := diskSize(dir)
	return Image{
		Digest: m.Digest, Config: m.Config, Architecture: m.Architecture, Created: m.Created,
		CompressedSize: m.CompressedSize, DiskSize: size, Rootfs: rootfs, FullOffset: m.FullOffset,
	}, err
}

// build makes the image and leases it. The image's digest is locked. After an
// error nothing is left.
func (s *Store) build(ctx context.Context, b build, t *tracker) (*Lease, error) {
	began := time.Now()
	dir, err := os.MkdirTemp(filepath.Join(s.dir, tmpDir), "build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	res, err := s.flatten(ctx, filepath.Join(dir, rootfsFile), b, t)
	if err != nil {
		return nil, err
	}
	m := metadata{
		Digest: b.digest, Config: b.config.Config, Architecture: s.opts.Architecture,
		CompressedSize: b.compressed, FullOffset: res.FullOffset,
	}
	if b.config.Created != nil {
		m.Created = *b.config.Created
	}
	meta, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{metaFile: meta, passwdFile: res.Passwd, groupFile: res.Group} {
		if err := writeFile(filepath.Join(dir, name), content); err != nil {
			return nil, err
		}
	}
	lease, err := s.commit(dir, &m)
	if err == nil {
		s.opts.Log.Info("made image", "image", b.digest, "layers", len(b.layers),
			"compressed", b.compressed, "bytes", lease.Image.DiskSize, "took", time.Since(began))
	}
	return lease, err
}

// flatten writes the layers to a new file, checking each one's digest.
func (s *Store) flatten(ctx context.Context, name string, b build, t *tracker) (_ *flatten.Result, err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fl := flatten.New(f, flatten.Limits{Bytes: s.opts.Limits.UnpackedBytes, Entries: s.opts.Limits.Entries})
	for i, open := range b.layers {
		if err := s.flattenLayer(ctx, fl, open, string(b.config.RootFS.DiffIDs[i])); err != nil {
			return nil, fmt.Errorf("layer %d of %d: %w", i+1, len(b.layers), err)
		}
		t.set(func(p *Progress) { p.LayersDone++ })
	}
	res, err := fl.Finish()
	if err != nil {
		return nil, err
	}
	// From now on it is only read: by any process that is given it, though
	// only root gets past the store's own directory.
	return res, errors.Join(f.Chmod(0o444), f.Sync())
}

func (s *Store) flattenLayer(ctx context.Context, fl *flatten.Flattener, open func(context.Context) (io.ReadCloser, error), want string) error {
	r, err := open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := s.takeSlot(ctx); err != nil {
		return err
	}
	defer func() { <-s.slots }()
	got, err := fl.Layer(ctx, r)
	if err != nil {
		return err
	}
	if got != want {
		return api.Errorf(api.Invalid, "its content has the digest %s, but the config says %.100s", got, want).
			WithNext("build or push the image again")
	}
	return nil
}

// takeSlot waits for one of the places for flattening.
func (s *Store) takeSlot(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commit makes the finished directory an image and leases it.
func (s *Store) commit(dir string, m *metadata) (*Lease, error) {
	s.change.Lock()
	defer s.change.Unlock()
	final := s.imageDir(m.Digest)
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	// What is there and not in the index could not be read by Open.
	if err := os.RemoveAll(final); err != nil {
		return nil, err
	}
	if err := os.Rename(dir, final); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(final)); err != nil {
		return nil, err
	}
	im, err := m.image(final)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	e := &entry{image: im, leases: 1, lastUsed: now, persisted: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[m.Digest] = e
	return &Lease{Image: e.copy(), store: s}, nil
}
