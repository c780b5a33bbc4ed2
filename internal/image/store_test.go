package image

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/api"
)

func layerHash(b []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: strings.TrimPrefix(digestOf(b), "sha256:")}
}

func TestRemoveAndLeases(t *testing.T) {
	f := newFakeRegistry(t)
	f.add("a", simpleImage(t, "same"))
	f.add("b", simpleImage(t, "same"))
	s := openStore(t, Options{})
	refA, refB := f.host()+"/x:a", f.host()+"/x:b"
	la, lb := ensure(t, s, refA), ensure(t, s, refB)
	if im, err := s.Get("", refA); err != nil || len(im.Refs) != 2 {
		t.Fatalf("%+v, %v", im, err)
	}
	digest := la.Image.Digest
	if err := s.Remove("", refA); err != nil {
		t.Errorf("one of two names of an image in use: %v", err)
	}
	wantCode(t, s.Remove("", refB), api.Conflict, "in use", "instances")
	wantCode(t, s.Remove("", digest), api.Conflict)
	la.Release()
	wantCode(t, s.Remove("", refB), api.Conflict)
	lb.Release()
	if err := s.Remove("", refB); err != nil {
		t.Error(err)
	}
	wantCode(t, s.Remove("", refB), api.NotFound)
	_, err := s.Lease(digest)
	wantCode(t, err, api.NotFound)
	if _, err := os.Stat(la.Image.Rootfs); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	clean(t, s)
}

func TestGetByPrefix(t *testing.T) {
	f := newFakeRegistry(t)
	s := openStore(t, Options{})
	first := map[string]int{}
	for _, c := range "abcdefghijklmnopqr" { // more than 16: two share a first digit
		im := simpleImage(t, string(c))
		f.add(string(c), im)
		ensure(t, s, f.host()+"/x:"+string(c)).Release()
		first[im.digest()[7:8]]++
		if got, err := s.Get("", im.digest()[:30]); err != nil || got.Digest != im.digest() {
			t.Errorf("%v, %v", got, err)
		}
		if got, err := s.Get("", im.digest()[7:30]); err != nil || got.Digest != im.digest() {
			t.Errorf("%v, %v", got, err)
		}
	}
	for digit, n := range first {
		if _, err := s.Get("", digit); n > 1 {
			wantCode(t, err, api.Invalid, "more than one")
		}
	}
	for _, name := range []string{"", "sha256:", "none", "zz:zz:zz"} {
		_, err := s.Get("", name)
		wantCode(t, err, api.NotFound)
	}
	if n := len(s.List("")); n != 18 {
		t.Errorf("%d images", n)
	}
}

func TestReopen(t *testing.T) {
	f := newFakeRegistry(t)
	f.add("a", simpleImage(t, "a"))
	dir := t.TempDir()
	s := openStoreIn(t, dir, Options{})
	ref := f.host() + "/x:a"
	l := ensure(t, s, ref)
	want := l.Image
	l.Release()
	_, err := Open(dir, Options{})
	wantCode(t, err, api.Conflict, "in use by another process")
	s.Close()

	// What a crash can leave: work in progress, an image that is not whole,
	// a name whose image is gone, old and new partial blobs.
	old := filepath.Join(dir, blobsDir, "sha256-"+strings.Repeat("0", 64)+partialSuffix)
	young := filepath.Join(dir, blobsDir, "sha256-"+strings.Repeat("1", 64)+partialSuffix)
	for _, name := range []string{filepath.Join(dir, tmpDir, "build-1", rootfsFile), filepath.Join(dir, imagesDir, "sha256-bad", metaFile), old, young, filepath.Join(dir, refsFile+".new")} {
		os.MkdirAll(filepath.Dir(name), 0o700)
		if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*blobAge)); err != nil {
		t.Fatal(err)
	}
	s = openStoreIn(t, dir, Options{})
	got, err := s.Get("", ref)
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != want.Digest || got.Rootfs != want.Rootfs || got.DiskSize != want.DiskSize || got.Config.Cmd[0] != "sh" || !got.Created.Equal(want.Created) || time.Since(got.LastUsed) > time.Minute {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if list, _ := os.ReadDir(filepath.Join(dir, tmpDir)); len(list) != 0 {
		t.Errorf("tmp holds %v", list)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Error("an old partial blob is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("a young partial blob is gone")
	}
	l, err = s.Lease(want.Digest)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Remove("", ref), api.Conflict)
	l.Release()
	if err := s.Remove("", ref); err != nil {
		t.Error(err)
	}
}

func TestCollect(t *testing.T) {
	f := newFakeRegistry(t)
	s := openStore(t, Options{MaxBytes: 1})
	ctx := context.Background()
	var leases []*Lease
	for _, tag := range []string{"a", "b", "c", "d"} {
		f.add(tag, simpleImage(t, tag))
		leases = append(leases, ensure(t, s, f.host()+"/x:"+tag))
	}
	if n := len(s.List("")); n != 4 {
		t.Fatalf("%d images: leased ones were collected", n)
	}
	u, err := s.Usage()
	if err != nil || u.Images != 4 || u.InUse != u.Bytes || u.Bytes == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	// Room for two and a half; released in the order b, a, d.
	s.opts.MaxBytes = u.Bytes / 8 * 5
	for _, i := range []int{1, 0, 3} {
		leases[i].Release()
		time.Sleep(2 * time.Millisecond)
	}
	removed, err := s.Collect(ctx)
	if err != nil || len(removed) != 2 || removed[0].Digest != leases[1].Image.Digest || removed[1].Digest != leases[0].Image.Digest {
		t.Errorf("removed %+v, %v", removed, err)
	}
	leases[2].Release()
	if removed, err := s.Collect(ctx); err != nil || len(removed) != 0 {
		t.Errorf("removed %+v, %v", removed, err)
	}
	// A new image under an old one's only name leaves the old one to collect,
	// size or not.
	s.opts.MaxBytes = 0
	f.add("d", simpleImage(t, "new d"))
	l, err := s.Ensure(ctx, Request{Ref: f.host() + "/x:d", Policy: api.PullAlways})
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	if _, err := s.Get("", leases[3].Image.Digest); api.CodeOf(err) != api.NotFound {
		t.Errorf("the image without a name is still there: %v", err)
	}
	clean(t, s)
}
