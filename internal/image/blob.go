package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/api"
	"cis/internal/keylock"
)

const (
	// downloadSlots is how many blobs come in at once.
	downloadSlots = 4
	// downloadTries is how often a download may break without a byte gained.
	downloadTries = 5
	// blobAge is how long what a broken-off pull left is kept for its retry.
	blobAge = 24 * time.Hour
	// stallTimeout is how long a connection may be silent.
	stallTimeout = 60 * time.Second

	partialSuffix = ".partial"
)

// blobCache is a directory of verified blobs, and of partial ones. A blob goes
// when the last pull that wants it has succeeded.
type blobCache struct {
	dir   string
	stall time.Duration
	locks keylock.Lock // by digest: who downloads it
	slots chan struct{}

	mu    sync.Mutex
	users map[string]int // pulls that want it, by digest
}

func newBlobCache(dir string) *blobCache {
	return &blobCache{dir: dir, stall: stallTimeout, slots: make(chan struct{}, downloadSlots), users: map[string]int{}}
}

func (c *blobCache) path(h v1.Hash) string { return filepath.Join(c.dir, dirName(h.String())) }

// hold keeps blobs from being dropped until release.
func (c *blobCache) hold(descs []v1.Descriptor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range descs {
		c.users[d.Digest.String()]++
	}
}

// release ends a hold. With drop, those that nobody else holds are deleted.
func (c *blobCache) release(descs []v1.Descriptor, drop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range descs {
		key := d.Digest.String()
		if c.users[key]--; c.users[key] > 0 {
			continue
		}
		delete(c.users, key)
		if drop {
			os.Remove(c.path(d.Digest)) // what stays is removed by age
		}
	}
}

// removeOld deletes what nobody holds and nothing has touched since.
func (c *blobCache) removeOld(since time.Time) error {
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range list {
		digest := strings.Replace(strings.TrimSuffix(e.Name(), partialSuffix), "-", ":", 1)
		info, err := e.Info()
		if err == nil && c.users[digest] == 0 && info.ModTime().Before(since) {
			os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
	return nil
}

// get returns the path of the blob, downloading it unless it is here. count is
// told each byte that is new or found. The blob must be held.
func (c *blobCache) get(ctx context.Context, repo *repository, d v1.Descriptor, count func(int64)) (string, error) {
	unlock, err := c.locks.Lock(ctx, d.Digest.String())
	if err != nil {
		return "", err
	}
	defer unlock()
	name := c.path(d.Digest)
	if info, err := os.Stat(name); err == nil && info.Size() == d.Size {
		count(d.Size)
		return name, nil
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	f, err := os.OpenFile(name+partialSuffix, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	dl := &download{file: f, repo: repo, desc: d, count: count, stall: c.stall}
	if err := dl.run(ctx); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	return name, os.Rename(name+partialSuffix, name)
}

// download fills one partial file.
type download struct {
	file  *os.File
	repo  *repository
	desc  v1.Descriptor
	count func(int64)
	stall time.Duration

	hash hash.Hash // of the file's first size bytes
	size int64
}

// run goes on from what the file holds until all is there and verified.
func (d *download) run(ctx context.Context) error {
	if err := d.takeUp(); err != nil {
		return err
	}
	found := d.size
	for tries := 0; d.size < d.desc.Size; {
		before := d.size
		err := d.attempt(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.size > before {
			tries = 0
		}
		if tries++; tries >= downloadTries || !mayPass(err) {
			return fmt.Errorf("layer %s: %w", d.desc.Digest, err)
		}
		if err := sleep(ctx, time.Duration(tries*tries)*100*time.Millisecond); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(d.hash.Sum(nil)); got != d.desc.Digest.Hex {
		if err := d.restart(); err != nil {
			return err
		}
		if found > 0 { // what an earlier try left may be the bad part
			return d.run(ctx)
		}
		return api.Errorf(api.Invalid, "layer %s is damaged: its content has the digest sha256:%s", d.desc.Digest, got).
			WithNext("push the image again, or check the registry's storage")
	}
	return nil
}

// takeUp hashes what an earlier try left.
func (d *download) takeUp() error {
	d.hash = sha256.New()
	n, err := io.Copy(d.hash, d.file)
	if err != nil {
		return err
	}
	if n > d.desc.Size {
		return d.restart()
	}
	d.size = n
	d.count(n)
	return nil
}

// restart forgets all that is there.
func (d *download) restart() error {
	d.count(-d.size)
	d.size = 0
	d.hash.Reset()
	_, err := d.file.Seek(0, io.SeekStart)
	return errors.Join(err, d.file.Truncate(0))
}

// attempt asks for the rest once.
func (d *download) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(d.stall, func() { cancel(errStalled) })
	defer watchdog.Stop()
	resp, err := d.repo.blob(ctx, d.desc.Digest, d.size)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	if d.size > 0 && !continues(resp, d.size) {
		if err := d.restart(); err != nil || resp.StatusCode != http.StatusOK {
			return err
		}
	}
	buf := make([]byte, 128<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			watchdog.Reset(d.stall)
			if d.size+int64(n) > d.desc.Size {
				return api.Errorf(api.Invalid, "layer %s is longer than the %d bytes that the manifest says", d.desc.Digest, d.desc.Size)
			}
			if _, err := d.file.Write(buf[:n]); err != nil {
				return err
			}
			d.hash.Write(buf[:n])
			d.size += int64(n)
			d.count(int64(n))
		}
		if err == io.EOF && d.size < d.desc.Size {
			err = io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return cause(ctx, err)
		}
	}
}

// continues says whether the answer goes on at offset.
func continues(resp *http.Response, offset int64) bool {
	return resp.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset))
}

var errStalled = errors.New("the connection is silent")

// cause prefers the reason for which ctx was cancelled.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
