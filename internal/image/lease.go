package image

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	"cis/api"
)

// Lease keeps an image from being removed or collected until its Release. It
// lives in memory only: after a restart, lease again what still runs, before
// pulling anything.
type Lease struct {
	Image Image
	store *Store
	once  sync.Once
}

// Lease pins the image with this digest. It is NotFound if there is none.
func (s *Store) Lease(digest string) (*Lease, error) {
	if l := s.lease(func() string { return digest }); l != nil {
		return l, nil
	}
	return nil, api.Errorf(api.NotFound, "there is no image %.100s on this machine", digest).
		WithNext("pull it with `cis image pull`")
}

// lease pins the image whose digest find returns, or returns nil. find is
// called with mu held.
func (s *Store) lease(find func() string) *Lease {
	s.mu.Lock()
	e := s.images[find()]
	if e == nil {
		s.mu.Unlock()
		return nil
	}
	e.leases++
	e.lastUsed = time.Now()
	l := &Lease{Image: e.copy(), store: s}
	s.mu.Unlock()
	s.persistUse(e, useStep)
	return l
}

// again returns a second lease of the same image.
func (l *Lease) again() *Lease {
	again, _ := l.store.Lease(l.Image.Digest) // cannot fail while l is held
	return again
}

// Release ends the lease. Further calls do nothing.
func (l *Lease) Release() {
	l.once.Do(func() {
		s := l.store
		s.mu.Lock()
		e := s.images[l.Image.Digest]
		e.leases--
		e.lastUsed = time.Now()
		s.mu.Unlock()
		s.persistUse(e, useStep)
	})
}

// useStep is how stale the last use on disk may be.
const useStep = time.Minute

// persistUse records the last use as image.json's mtime, if that is older by
// more than step. It only matters for the order of collection, so a failure is
// logged.
func (s *Store) persistUse(e *entry, step time.Duration) {
	s.mu.Lock()
	used := e.lastUsed
	stale := used.Sub(e.persisted) > step
	if stale {
		e.persisted = used
	}
	s.mu.Unlock()
	if !stale {
		return
	}
	name := filepath.Join(s.imageDir(e.image.Digest), metaFile)
	if err := os.Chtimes(name, used, used); err != nil && !os.IsNotExist(err) {
		s.opts.Log.Warn("record the last use of an image", "image", e.image.Digest, "err", err)
	}
}
