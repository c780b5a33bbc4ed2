package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cis/api"
)

// Usage is what the store takes on disk.
type Usage struct {
	Images int
	// Bytes is what the images take, InUse those of them that are leased.
	Bytes, InUse int64
	// PullBytes is what pulls, running or broken off, have downloaded.
	PullBytes int64
}

// Usage measures the store.
func (s *Store) Usage() (Usage, error) {
	var u Usage
	s.mu.Lock()
	for _, e := range s.images {
		u.Images++
		u.Bytes += e.image.DiskSize
		if e.leases > 0 {
			u.InUse += e.image.DiskSize
		}
	}
	s.mu.Unlock()
	var err error
	u.PullBytes, err = diskSize(filepath.Join(s.dir, blobsDir))
	return u, err
}

// Remove takes away an owner's name, and the image with the last name that anybody has for
// it. By digest (or its beginning) it takes away all names of the owner. A leased image is
// a Conflict, unless another name remains.
func (s *Store) Remove(owner, name string) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	e, err := s.find(owner, name)
	var digest string
	var going []string
	var last bool
	if err == nil {
		digest = e.image.Digest
		going = s.named(e, owner, name)
		last = len(going) == len(e.names)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if last {
		return s.drop(digest)
	}
	return s.changeRefs(func(refs map[string]string) {
		for _, name := range going {
			delete(refs, name)
		}
	})
}

// named are the names of an image that an owner means by one of them or by its digest; mu
// is held.
func (s *Store) named(e *entry, owner, name string) (names []string) {
	if full, err := Normalize(name); err == nil && s.refs[nameOf(owner, full)] == e.image.Digest {
		return []string{nameOf(owner, full)}
	}
	for _, name := range e.names {
		if _, mine := refOf(owner, name); mine {
			names = append(names, name)
		}
	}
	return names
}

// drop removes an image that is not leased. change is held.
func (s *Store) drop(digest string) error {
	s.mu.Lock()
	e := s.images[digest]
	if e == nil {
		s.mu.Unlock()
		return nil
	}
	if n := e.leases; n > 0 {
		name := digest
		if len(e.names) > 0 {
			name = e.names[0][strings.LastIndex(e.names[0], " ")+1:]
		}
		s.mu.Unlock()
		return api.Errorf(api.Conflict, "image %s is in use (%d times)", name, n).
			WithNext("delete the instances that use it first")
	}
	delete(s.images, digest)
	names := len(e.names)
	s.mu.Unlock()
	if names > 0 {
		err := s.changeRefs(func(refs map[string]string) {
			for ref, d := range refs {
				if d == digest {
					delete(refs, ref)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	// Gone in one step, whatever happens during the deletion.
	tmp := filepath.Join(s.dir, tmpDir, dirName(digest))
	if err := os.Rename(s.imageDir(digest), tmp); err != nil {
		return fmt.Errorf("remove image %s: %w", digest, err)
	}
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("remove image %s: %w", digest, err)
	}
	return nil
}

// Collect removes what nobody needs: images without a name (a newer one has
// it), what broken-off pulls left a day ago, and, while the images take more
// than Options.MaxBytes, the image whose last use is the longest ago. A leased
// image always stays. It returns what was removed; every pull and import
// collects by itself at its end.
func (s *Store) Collect(ctx context.Context) ([]Image, error) {
	if err := s.blobs.removeOld(time.Now().Add(-blobAge)); err != nil {
		return nil, fmt.Errorf("collect images: %w", err)
	}
	s.change.Lock()
	defer s.change.Unlock()
	var removed []Image
	for ctx.Err() == nil {
		im, ok := s.victim()
		if !ok {
			return removed, nil
		}
		err := s.drop(im.Digest)
		if api.CodeOf(err) == api.Conflict {
			continue // leased in between
		}
		if err != nil {
			return removed, err
		}
		s.opts.Log.Info("collected image", "image", im.Digest, "refs", im.Refs, "bytes", im.DiskSize, "lastUsed", im.LastUsed)
		removed = append(removed, im)
	}
	return removed, ctx.Err()
}

// victim returns the image to collect next.
func (s *Store) victim() (Image, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest *entry
	var sum int64
	for _, e := range s.images {
		sum += e.image.DiskSize
		if e.leases > 0 {
			continue
		}
		if len(e.names) == 0 {
			return e.copy(), true
		}
		if oldest == nil || e.lastUsed.Before(oldest.lastUsed) {
			oldest = e
		}
	}
	if oldest == nil || s.opts.MaxBytes <= 0 || sum <= s.opts.MaxBytes {
		return Image{}, false
	}
	return oldest.copy(), true
}
