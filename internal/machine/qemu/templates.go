package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
)

// maxTemplates is how many shapes are kept; the one not used for the longest goes.
const maxTemplates = 8

// afterStart is about how long a VM that has booted takes until its program says something.
// Its template is made after that, so that the two do not share the processors.
const afterStart = 3 * time.Second

// retryTemplate is how long after a failure a template is not tried again.
const retryTemplate = time.Minute

// templates are those of a machine.
type templates struct {
	m *Machine

	mu       sync.Mutex
	loaded   map[shape]*template
	used     []shape // the latest last
	building map[shape]bool
	// failed is when the making of a template went wrong; it is tried again later.
	failed map[shape]time.Time

	work   context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newTemplates(m *Machine) *templates {
	t := &templates{m: m, loaded: map[shape]*template{}, building: map[shape]bool{}, failed: map[shape]time.Time{}}
	t.work, t.cancel = context.WithCancel(context.Background())
	return t
}

// close ends what is being built.
func (t *templates) close() {
	t.cancel()
	t.wg.Wait()
}

// order has the template of a shape made in a while, for those who ask later.
func (t *templates) order(s shape) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.building[s] || t.work.Err() != nil || time.Since(t.failed[s]) < retryTemplate {
		return
	}
	t.building[s] = true
	t.wg.Go(func() {
		select {
		case <-time.After(afterStart):
		case <-t.work.Done():
		}
		err := t.build(t.work, s)
		if err != nil && t.work.Err() == nil {
			t.m.conf.Log.Error("a template cannot be made; VMs of its size boot", "processors", s.processors, "memory", s.memory, "error", err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.building, s)
		if err != nil {
			t.failed[s] = time.Now()
		}
	})
}

// have returns the template of a shape, or nil if there is none.
func (t *templates) have(ctx context.Context, s shape) (*template, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.loaded[s]; found != nil {
		t.touch(s)
		return found, nil
	}
	dir, a, err := t.m.templateDir(ctx)
	if err != nil {
		return nil, err
	}
	found, err := loadTemplate(filepath.Join(dir, s.String()), a)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t.loaded[s] = found
	t.touch(s)
	return found, t.evict(dir)
}

// touch makes a shape the latest used.
func (t *templates) touch(s shape) {
	t.used = append(slices.DeleteFunc(t.used, func(u shape) bool { return u == s }), s)
}

// evict drops the templates beyond maxTemplates. The memory of one goes when nobody
// starts a VM from it any more.
func (t *templates) evict(dir string) error {
	for len(t.used) > maxTemplates {
		s := t.used[0]
		t.used = t.used[1:]
		delete(t.loaded, s)
		if err := os.RemoveAll(filepath.Join(dir, s.String())); err != nil {
			return err
		}
	}
	return nil
}

// String names a shape's directory.
func (s shape) String() string { return fmt.Sprintf("%d-%d", s.processors, s.memory/api.MiB) }

// build makes the template of a shape, unless it is there. One is built at a time, by
// whatever process.
func (t *templates) build(ctx context.Context, s shape) error {
	unlock, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if found, err := t.have(ctx, s); err != nil || found != nil {
		return err
	}
	if err := t.sweep(ctx); err != nil {
		return err
	}
	dir, a, err := t.m.templateDir(ctx)
	if err != nil {
		return err
	}
	unfinished := filepath.Join(t.m.templatesDir(), "unfinished")
	if err := os.MkdirAll(unfinished, 0o700); err != nil {
		return err
	}
	if err := t.m.saveTemplate(ctx, s, a, unfinished); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Rename(unfinished, filepath.Join(dir, s.String())); err != nil {
		return err
	}
	_, err = t.have(ctx, s)
	return err
}

// clear removes the VMs that nobody makes a template of any more.
func (t *templates) clear() error {
	f, err := t.lockFile()
	if err != nil {
		return err
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // somebody is at it
	}
	ctx, cancel := context.WithTimeout(t.work, 10*time.Second)
	defer cancel()
	return t.m.destroyBuilders(ctx)
}

func (t *templates) lockFile() (*os.File, error) {
	if err := os.MkdirAll(t.m.templatesDir(), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(t.m.templatesDir(), "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}

// lock keeps others from building, until ctx ends.
func (t *templates) lock(ctx context.Context) (unlock func(), err error) {
	f, err := t.lockFile()
	if err != nil {
		return nil, err
	}
	const again = 50 * time.Millisecond
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(again):
		}
	}
}

// sweep removes what a build that was cut off has left, and templates of another
// kernel, initramfs, QEMU or processor. The lock is held.
func (t *templates) sweep(ctx context.Context) error {
	current, _, err := t.m.templateDir(ctx)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(t.m.templatesDir())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(t.m.templatesDir(), entry.Name())
		if entry.IsDir() && path != current {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return t.m.destroyBuilders(ctx)
}
