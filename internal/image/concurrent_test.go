package image

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cis/api"
)

func TestManyShareOnePull(t *testing.T) {
	f := newFakeRegistry(t)
	im := makeImage(t, false, gzipped, tarOf(t, "content", "c"), tarOf(t, "more", noise(100_000)))
	f.add("latest", im)
	f.gate = make(chan struct{})
	s := openStore(t, Options{})
	const callers = 100
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	var reports, failed atomic.Int32
	var waiting sync.WaitGroup
	waiting.Add(callers)
	for i := range callers {
		wg.Go(func() {
			ctx := ctx
			if i%10 != 0 { // every tenth caller gives up
				ctx = context.Background()
			}
			var once sync.Once
			l, err := s.Ensure(ctx, Request{Ref: f.host() + "/x", Policy: api.PullAlways, Progress: func(p Progress) {
				once.Do(waiting.Done)
				if p.Phase == Downloading {
					reports.Add(1)
				}
			}})
			if err != nil {
				if !errors.Is(err, context.Canceled) || i%10 != 0 {
					t.Errorf("caller %d: %v", i, err)
				}
				failed.Add(1)
				return
			}
			if l.Image.Digest != im.digest() || len(l.Image.Refs) != 1 {
				t.Errorf("caller %d got %+v", i, l.Image)
			}
			l.Release()
		})
	}
	waiting.Wait()
	cancel()
	time.Sleep(50 * time.Millisecond)
	close(f.gate)
	wg.Wait()
	if n := f.count("/manifests/"); n != 1 {
		t.Errorf("%d requests for the manifest, want 1", n)
	}
	if n := f.count("/blobs/"); n != 3 {
		t.Errorf("%d requests for 3 blobs", n)
	}
	if failed.Load() != callers/10 {
		t.Errorf("%d callers were cancelled, want %d", failed.Load(), callers/10)
	}
	if reports.Load() < callers/2 {
		t.Errorf("only %d reports of progress reached %d callers", reports.Load(), callers)
	}
	if err := s.Remove("", f.host()+"/x"); err != nil {
		t.Errorf("a lease is left: %v", err)
	}
	clean(t, s)
}

// When every caller has gone the pull ends, and the next one works.
func TestAllCancelled(t *testing.T) {
	f := newFakeRegistry(t)
	f.add("latest", simpleImage(t, noise(100_000)))
	f.gate = make(chan struct{})
	s := openStore(t, Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := s.Ensure(ctx, Request{Ref: f.host() + "/x"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	close(f.gate)
	l := ensure(t, s, f.host()+"/x")
	l.Release()
	l.Release()
	if err := s.Remove("", l.Image.Digest[7:20]); err != nil {
		t.Errorf("a lease is left: %v", err)
	}
}

// Images that have layers in common, pulled together, get each layer once.
func TestSharedLayers(t *testing.T) {
	f := newFakeRegistry(t)
	common := tarOf(t, "common", noise(200_000))
	names := []string{"a", "b", "c", "d"}
	for _, n := range names {
		f.add(n, makeImage(t, false, gzipped, common, tarOf(t, "own", n)))
	}
	f.gate = make(chan struct{})
	s := openStore(t, Options{})
	var wg sync.WaitGroup
	for _, n := range names {
		wg.Go(func() {
			l := ensure(t, s, f.host()+"/x:"+n)
			if got := contentOf(t, l.Image, "own"); got != n {
				t.Errorf("image %s has %q", n, got)
			}
			l.Release()
		})
	}
	time.Sleep(200 * time.Millisecond) // all hold the layer by now
	close(f.gate)
	wg.Wait()
	if n := f.count(digestOf(gzipped(t, common))); n != 1 {
		t.Errorf("the common layer was asked for %d times", n)
	}
	list, _ := os.ReadDir(filepath.Join(s.dir, blobsDir))
	if len(list) != 0 {
		t.Errorf("%d blobs are left", len(list))
	}
}

// Everything at once, for the race detector and for leases: what is leased is
// there.
func TestStress(t *testing.T) {
	f := newFakeRegistry(t)
	tags := []string{"a", "b", "c"}
	for _, tag := range tags {
		f.add(tag, makeImage(t, false, gzipped, tarOf(t, "common", noise(20_000)), tarOf(t, "own", tag)))
	}
	s := openStore(t, Options{MaxBytes: 100_000})
	ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for i := range 12 {
		r := rand.New(rand.NewPCG(uint64(i), 0))
		wg.Go(func() {
			for ctx.Err() == nil {
				tag := tags[r.IntN(len(tags))]
				ref := f.host() + "/x:" + tag
				switch r.IntN(8) {
				case 0:
					if err := s.Remove("", ref); err != nil && api.CodeOf(err) != api.NotFound && api.CodeOf(err) != api.Conflict {
						t.Errorf("remove: %v", err)
					}
				case 1:
					if _, err := s.Collect(context.Background()); err != nil {
						t.Errorf("collect: %v", err)
					}
				case 2:
					f.add(tag, makeImage(t, false, gzipped, tarOf(t, "common", noise(20_000)), tarOf(t, "own", tag+string(rune('0'+r.IntN(5))))))
				case 3:
					s.List("")
				default:
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(40))*time.Millisecond+time.Millisecond)
					l, err := s.Ensure(ctx, Request{Ref: ref, Policy: []api.PullPolicy{api.PullAlways, api.PullIfNotPresent}[r.IntN(2)]})
					cancel()
					if err != nil {
						if !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("ensure: %v", err)
						}
						continue
					}
					if _, err := os.Stat(l.Image.Rootfs); err != nil {
						t.Errorf("a leased image is gone: %v", err)
					}
					l.Release()
				}
			}
		})
	}
	wg.Wait()
	// Pulls that nobody waits for any more take a moment to end.
	settled := func() bool { return s.building.Idle() }
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, im := range s.List("") {
			if err := s.Remove("", im.Digest); err != nil && api.CodeOf(err) != api.Conflict {
				t.Errorf("remove: %v", err)
			}
		}
		if settled() && len(s.List("")) == 0 {
			break
		}
	}
	if list := s.List(""); len(list) > 0 {
		t.Errorf("leases are left: %+v", list)
	}
	clean(t, s)
}
