package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/keylock"
)

const (
	imagesDir  = "images"
	blobsDir   = "blobs"
	tmpDir     = "tmp"
	refsFile   = "refs.json"
	lockFile   = "lock"
	metaFile   = "image.json"
	rootfsFile = "rootfs.erofs"
	passwdFile = "passwd"
	groupFile  = "group"
)

// Store is a directory of images. Its methods may be called from any goroutine.
type Store struct {
	dir      string
	opts     Options
	lock     *os.File
	registry *registries
	blobs    *blobCache
	pulls    flights
	building keylock.Lock // by image digest
	slots    chan struct{}

	// change serialises what changes images and refs, on disk and then in
	// memory. mu guards the index in memory and is never held over I/O. change
	// is taken first.
	change sync.Mutex
	mu     sync.Mutex
	images map[string]*entry // by digest
	refs   map[string]string // canonical reference to digest
}

// flattenSlots is how many images are flattened at once: each takes a core, and
// memory for all its names.
const flattenSlots = 2

// Open opens the store in dir, making it if there is none, and removes what a
// crash left behind. One Store at a time may have a directory open; a second
// gets a Conflict.
func Open(dir string, opts Options) (*Store, error) {
	s := &Store{
		opts:   opts.withDefaults(),
		images: map[string]*entry{},
		refs:   map[string]string{},
		slots:  make(chan struct{}, flattenSlots),
	}
	var err error
	if s.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	if s.registry, err = newRegistries(s.opts); err != nil {
		return nil, err
	}
	for _, d := range []string{imagesDir, blobsDir, tmpDir} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("open image store: %w", err)
		}
	}
	s.blobs = newBlobCache(filepath.Join(s.dir, blobsDir))
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		s.lock.Close()
		return nil, fmt.Errorf("open image store: %w", err)
	}
	return s, nil
}

// Close gives the directory free. Pulls that still run are the callers' to
// cancel first.
func (s *Store) Close() error {
	s.mu.Lock()
	entries := slices.Collect(maps.Values(s.images))
	s.mu.Unlock()
	for _, e := range entries {
		s.persistUse(e, 0)
	}
	return s.lock.Close()
}

func (s *Store) takeLock() error {
	f, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open image store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return api.Errorf(api.Conflict, "the image store %s is in use by another process", s.dir).
			WithNext("stop the other server, or give this one its own directory")
	}
	s.lock = f
	return nil
}

// load reads the index from disk.
func (s *Store) load() error {
	if err := removeChildren(filepath.Join(s.dir, tmpDir)); err != nil {
		return err
	}
	if err := s.blobs.removeOld(time.Now().Add(-blobAge)); err != nil {
		return err
	}
	dirs, err := os.ReadDir(filepath.Join(s.dir, imagesDir))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		e, err := s.loadImage(filepath.Join(s.dir, imagesDir, d.Name()))
		if err != nil {
			s.opts.Log.Warn("skip an image that cannot be read", "dir", d.Name(), "err", err)
			continue
		}
		s.images[e.image.Digest] = e
	}
	return s.loadRefs()
}

func (s *Store) loadImage(dir string) (*entry, error) {
	name := filepath.Join(dir, metaFile)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	if dirName(m.Digest) != filepath.Base(dir) {
		return nil, fmt.Errorf("it says that it is %q", m.Digest)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	im, err := m.image(dir)
	if err != nil {
		return nil, err
	}
	return &entry{image: im, lastUsed: info.ModTime(), persisted: info.ModTime()}, nil
}

func (s *Store) loadRefs() error {
	b, err := os.ReadFile(filepath.Join(s.dir, refsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var refs map[string]string
	if err := json.Unmarshal(b, &refs); err != nil {
		return fmt.Errorf("%s: %w", refsFile, err)
	}
	s.setRefs(refs)
	return nil
}

// setRefs puts refs in place of the index's, leaving out those whose image is
// gone. mu is held, or not needed yet.
func (s *Store) setRefs(refs map[string]string) {
	for _, e := range s.images {
		e.names = nil
	}
	s.refs = map[string]string{}
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		if e := s.images[refs[ref]]; e != nil {
			s.refs[ref] = refs[ref]
			e.names = append(e.names, ref)
		}
	}
}

// changeRefs edits the names, on disk and then in memory. change is held.
func (s *Store) changeRefs(edit func(refs map[string]string)) error {
	s.mu.Lock()
	refs := maps.Clone(s.refs)
	s.mu.Unlock()
	edit(refs)
	b, err := json.MarshalIndent(refs, "", "\t")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.dir, refsFile), b); err != nil {
		return err
	}
	s.mu.Lock()
	s.setRefs(refs)
	s.mu.Unlock()
	return nil
}

// tag makes ref stand for digest. An empty ref does nothing.
func (s *Store) tag(ref, digest string) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	same := ref == "" || s.refs[ref] == digest
	s.mu.Unlock()
	if same {
		return nil
	}
	if err := s.changeRefs(func(refs map[string]string) { refs[ref] = digest }); err != nil {
		return fmt.Errorf("name image %s: %w", ref, err)
	}
	return nil
}

// All returns every image, whoever owns it, the last used first.
func (s *Store) All() []Image {
	return s.list(func(e *entry) (Image, bool) { return e.copy(), true })
}

// List returns the images of an owner, the last used first.
func (s *Store) List(owner string) []Image {
	return s.list(func(e *entry) (Image, bool) { return e.ownedBy(owner) })
}

func (s *Store) list(see func(*entry) (Image, bool)) []Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Image, 0, len(s.images))
	for _, e := range s.images {
		if im, ok := see(e); ok {
			list = append(list, im)
		}
	}
	slices.SortFunc(list, func(a, b Image) int {
		if c := b.LastUsed.Compare(a.LastUsed); c != 0 {
			return c
		}
		return strings.Compare(a.Digest, b.Digest)
	})
	return list
}

// Get returns the owner's image that a reference, a digest or the beginning of a digest
// (its hex part, with or without "sha256:") names. It is NotFound if there is
// none, Invalid if a beginning fits several.
func (s *Store) Get(owner, name string) (Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(owner, name)
	if err != nil {
		return Image{}, err
	}
	im, _ := e.ownedBy(owner)
	return im, nil
}

// find is Get; mu is held.
func (s *Store) find(owner, name string) (*entry, error) {
	if ref, err := Normalize(name); err == nil {
		if e := s.images[s.refs[nameOf(owner, ref)]]; e != nil {
			return e, nil
		}
	}
	prefix := "sha256:" + strings.TrimPrefix(name, "sha256:")
	var found *entry
	for digest, e := range s.images {
		if name == "" || prefix == "sha256:" || !strings.HasPrefix(digest, prefix) {
			continue
		}
		if _, mine := e.ownedBy(owner); !mine {
			continue
		}
		if found != nil {
			return nil, api.FieldError("image", "%.100q is the beginning of more than one image's digest", name).
				WithNext("give more of the digest")
		}
		found = e
	}
	if found == nil {
		return nil, api.Errorf(api.NotFound, "there is no image %.300q on this machine", name).
			WithNext("see `cis image list`, or pull it with `cis image pull`")
	}
	return found, nil
}

// dirName is the directory of an image, or the file of a blob.
func dirName(digest string) string { return strings.ReplaceAll(digest, ":", "-") }

func (s *Store) imageDir(digest string) string {
	return filepath.Join(s.dir, imagesDir, dirName(digest))
}
