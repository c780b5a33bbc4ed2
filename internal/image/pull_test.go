package image

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cis/api"
)

// noise is content that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

func TestResumeBrokenConnection(t *testing.T) {
	for _, noRange := range []bool{false, true} {
		f := newFakeRegistry(t)
		im := makeImage(t, false, gzipped, tarOf(t, "content", noise(1<<20)))
		f.add("latest", im)
		f.noRange = noRange
		var broken atomic.Int32
		f.wrap = func(digest string, w http.ResponseWriter) http.ResponseWriter {
			if digest != digestOf(im.blobs[0]) || broken.Add(1) > 3 {
				return w
			}
			return &breaking{w, 300_000}
		}
		s := openStore(t, Options{})
		l := ensure(t, s, f.host()+"/big")
		if got := contentOf(t, l.Image, "content"); got != noise(1<<20) {
			t.Error("the content is damaged")
		}
		l.Release()
		if n := broken.Load(); n != 4 {
			t.Errorf("%d requests for the layer, want 4", n)
		}
		f.mu.Lock()
		resumed := slices.ContainsFunc(f.ranges, func(r string) bool { return strings.HasPrefix(r, "bytes=") && r != "bytes=0-" })
		f.mu.Unlock()
		if !resumed {
			t.Errorf("no request went on where another broke: %q", f.ranges)
		}
		if u, err := s.Usage(); err != nil || u.PullBytes != 0 {
			t.Errorf("after the pull the layers take %d bytes, %v", u.PullBytes, err)
		}
		clean(t, s)
	}
}

// A pull goes on where it was when the server ended.
func TestResumeAfterRestart(t *testing.T) {
	f := newFakeRegistry(t)
	layer := makeImage(t, false, gzipped, tarOf(t, "content", noise(1<<20)))
	f.add("latest", layer)
	wait := make(chan struct{})
	reached := make(chan struct{})
	f.wrap = func(digest string, w http.ResponseWriter) http.ResponseWriter {
		if digest != digestOf(layer.blobs[0]) {
			return w
		}
		close(reached)
		return &hanging{w, 500_000, wait}
	}
	dir := t.TempDir()
	s := openStoreIn(t, dir, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := s.Ensure(ctx, Request{Ref: f.host() + "/big"})
		done <- err
	}()
	<-reached
	partial := s.blobs.path(layerHash(layer.blobs[0])) + partialSuffix
	for {
		if info, err := os.Stat(partial); err == nil && info.Size() > 400_000 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	close(wait)
	s.Close()

	f.mu.Lock()
	f.wrap, f.ranges = nil, nil
	f.mu.Unlock()
	s = openStoreIn(t, dir, Options{})
	l := ensure(t, s, f.host()+"/big")
	defer l.Release()
	if got := contentOf(t, l.Image, "content"); got != noise(1<<20) {
		t.Error("the content is damaged")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.ContainsFunc(f.ranges, func(r string) bool { return strings.HasPrefix(r, "bytes=") }) {
		t.Errorf("the layer was asked for from its beginning: %q", f.ranges)
	}
}

// A partial file that is wrong costs a second download, not the pull.
func TestBadPartial(t *testing.T) {
	f := newFakeRegistry(t)
	im := simpleImage(t, noise(100_000))
	f.add("latest", im)
	for _, bad := range []string{"garbage", strings.Repeat("too long", 100_000), string(im.blobs[0])} {
		s := openStore(t, Options{})
		if err := os.WriteFile(s.blobs.path(layerHash(im.blobs[0]))+partialSuffix, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		ensure(t, s, f.host()+"/x").Release()
	}
}

func TestDamage(t *testing.T) {
	good := simpleImage(t, noise(10_000))
	cases := map[string]struct {
		change func(f *fakeRegistry)
		words  string
	}{
		"layer": {func(f *fakeRegistry) {
			f.blobs[digestOf(good.blobs[0])] = append(bytes.Clone(good.blobs[0][:len(good.blobs[0])-1]), 'X')
		}, "damaged"},
		"layer too long": {func(f *fakeRegistry) {
			f.blobs[digestOf(good.blobs[0])] = append(bytes.Clone(good.blobs[0]), 'X')
		}, "longer"},
		"config": {func(f *fakeRegistry) { f.blobs[digestOf(good.config)] = []byte("{}") }, "config"},
		"manifest by digest": {func(f *fakeRegistry) {
			im := f.manifests[good.digest()]
			im.manifest = append(bytes.Clone(im.manifest), ' ')
			f.manifests[good.digest()] = im
		}, "does not match"},
		"diff id": {func(f *fakeRegistry) {
			bad := good
			bad.config = bytes.Replace(bytes.Clone(good.config), []byte(digestOf(good.layers[0])), []byte(digestOf(nil)), 1)
			bad.manifest = toJSON(t, object{"schemaVersion": 2, "mediaType": ociManifest, "config": descriptor(ociConfig, bad.config), "layers": []object{descriptor(ociLayer, good.blobs[0])}})
			f.manifests[good.digest()] = bad
			f.blobs[digestOf(bad.config)] = bad.config
			f.manifests["tag"] = bad
		}, "config says"},
		"no tar": {func(f *fakeRegistry) { f.manifests["tag"] = oddImage(t, f, []byte("this is no tar archive at all")) }, "damaged layer"},
		"cut gzip": {func(f *fakeRegistry) {
			f.manifests["tag"] = oddImage(t, f, gzipped(t, good.layers[0])[:100])
		}, "damaged layer"},
		"layers missing": {func(f *fakeRegistry) {
			bad := good
			bad.manifest = toJSON(t, object{"schemaVersion": 2, "mediaType": ociManifest, "config": descriptor(ociConfig, good.config), "layers": []object{}})
			f.manifests["tag"] = bad
		}, "layers"},
		"schema 1": {func(f *fakeRegistry) {
			f.manifests["tag"] = testImage{mediaType: "application/vnd.docker.distribution.manifest.v1+json", manifest: []byte(`{"schemaVersion":1}`)}
		}, "media type"},
		"artifact": {func(f *fakeRegistry) {
			f.manifests["tag"] = testImage{mediaType: ociManifest, manifest: toJSON(t, object{"schemaVersion": 2, "mediaType": ociManifest,
				"config": descriptor("application/vnd.cncf.helm.config.v1+json", nil), "layers": []object{}})}
		}, "not a container image"},
		"foreign layer": {func(f *fakeRegistry) {
			f.manifests["tag"] = testImage{mediaType: ociManifest, manifest: toJSON(t, object{"schemaVersion": 2, "mediaType": ociManifest, "config": descriptor(ociConfig, nil),
				"layers": []object{descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", nil)}})}
		}, "foreign"},
		"absurd layer": {func(f *fakeRegistry) {
			d := descriptor(ociLayer, nil)
			d["size"] = int64(1) << 60
			f.manifests["tag"] = testImage{mediaType: ociManifest, manifest: toJSON(t, object{"schemaVersion": 2, "mediaType": ociManifest, "config": descriptor(ociConfig, good.config), "layers": []object{d}})}
		}, "bytes"},
		"absurd config": {func(f *fakeRegistry) {
			d := descriptor(ociConfig, nil)
			d["size"] = int64(1) << 60
			f.manifests["tag"] = testImage{mediaType: ociManifest, manifest: toJSON(t, object{"schemaVersion": 2, "mediaType": ociManifest, "config": d, "layers": []object{}})}
		}, "config exceeds"},
		"nested indexes": {func(f *fakeRegistry) {
			// An index cannot hold its own digest; a tag may lead to deep nesting.
			im := testImage{mediaType: ociIndex, manifest: toJSON(t, object{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []object{descriptor(ociManifest, good.manifest)}})}
			for range 5 {
				f.manifests[im.digest()] = im
				im = testImage{mediaType: ociIndex, manifest: toJSON(t, object{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []object{descriptor(ociIndex, im.manifest)}})}
			}
			f.manifests["tag"] = im
		}, "nested"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFakeRegistry(t)
			f.add("tag", good)
			c.change(f)
			s := openStore(t, Options{})
			ref := f.host() + "/x:tag"
			if name == "manifest by digest" {
				ref = f.host() + "/x@" + good.digest()
			}
			_, err := s.Ensure(context.Background(), Request{Ref: ref})
			wantCode(t, err, api.Invalid, c.words)
			if len(s.List("")) != 0 {
				t.Error("an image was made")
			}
			clean(t, s)
		})
	}
}

// oddImage is an image whose only layer is whatever is given, as it is.
func oddImage(t *testing.T, f *fakeRegistry, layer []byte) testImage {
	im := makeImage(t, false, nil, layer)
	for _, b := range im.blobs {
		f.blobs[digestOf(b)] = b
	}
	return im
}

func TestSilentConnection(t *testing.T) {
	f := newFakeRegistry(t)
	im := simpleImage(t, noise(200_000))
	f.add("latest", im)
	wait := make(chan struct{})
	defer close(wait)
	var first atomic.Bool
	f.wrap = func(digest string, w http.ResponseWriter) http.ResponseWriter {
		if digest != digestOf(im.blobs[0]) || first.Swap(true) {
			return w
		}
		return &hanging{w, 1000, wait}
	}
	s := openStore(t, Options{})
	s.blobs.stall = 200 * time.Millisecond
	ensure(t, s, f.host()+"/x").Release()
}

// One layer that fails ends the pull at once, though an earlier one hangs.
func TestFirstFailureWins(t *testing.T) {
	f := newFakeRegistry(t)
	im := makeImage(t, false, gzipped, tarOf(t, "a", noise(50_000)), tarOf(t, "b", "b"))
	f.add("latest", im)
	f.blobs[digestOf(im.blobs[1])] = append(bytes.Clone(im.blobs[1]), 0)
	wait := make(chan struct{})
	defer close(wait)
	f.wrap = func(digest string, w http.ResponseWriter) http.ResponseWriter {
		if digest != digestOf(im.blobs[0]) {
			return w
		}
		return &hanging{w, 1000, wait}
	}
	s := openStore(t, Options{})
	_, err := s.Ensure(context.Background(), Request{Ref: f.host() + "/x"})
	wantCode(t, err, api.Invalid, "longer")
	clean(t, s)
}

func TestPolicies(t *testing.T) {
	f := newFakeRegistry(t)
	one, two := simpleImage(t, "one"), simpleImage(t, "two")
	f.add("latest", one)
	s := openStore(t, Options{})
	ref := f.host() + "/x"
	ctx := context.Background()
	get := func(p api.PullPolicy) string {
		t.Helper()
		l, err := s.Ensure(ctx, Request{Ref: ref, Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
		return l.Image.Digest
	}
	_, err := s.Ensure(ctx, Request{Ref: ref, Policy: api.PullNever})
	wantCode(t, err, api.NotFound, ref)
	if d := get(api.PullIfNotPresent); d != one.digest() {
		t.Errorf("got %s", d)
	}
	f.add("latest", two)
	for _, p := range []api.PullPolicy{api.PullIfNotPresent, api.PullNever, ""} {
		if d := get(p); d != one.digest() {
			t.Errorf("%s: got %s", p, d)
		}
	}
	before := f.count("/blobs/")
	if d := get(api.PullAlways); d != two.digest() {
		t.Errorf("Always: got %s", d)
	}
	if d := get(api.PullAlways); d != two.digest() {
		t.Errorf("Always again: got %s", d)
	}
	if n := f.count("/blobs/") - before; n != 2 {
		t.Errorf("%d blobs were asked for, want 2", n)
	}
	f.Close()
	if d := get(api.PullIfNotPresent); d != two.digest() {
		t.Errorf("got %s", d)
	}
	_, err = s.Ensure(ctx, Request{Ref: ref, Policy: api.PullAlways})
	wantCode(t, err, api.Unavailable, "cannot be reached")
}

// A registry that stops in the middle of a manifest is given up.
func TestSilentManifest(t *testing.T) {
	wait := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			<-wait
		}
	}))
	t.Cleanup(srv.Close)
	defer close(wait)
	s := openStore(t, Options{})
	s.blobs.stall = 200 * time.Millisecond
	_, err := s.Ensure(context.Background(), Request{Ref: hostOf(t, srv.URL) + "/x"})
	wantCode(t, err, api.Unavailable, "silent")
}

func TestProgress(t *testing.T) {
	f := newFakeRegistry(t)
	im := makeImage(t, false, gzipped, tarOf(t, "a", noise(300_000)), tarOf(t, "b", "b"))
	f.add("latest", im)
	var all []Progress
	l, err := openStore(t, Options{}).Ensure(context.Background(), Request{Ref: f.host() + "/x", Progress: func(p Progress) { all = append(all, p) }})
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	total := int64(len(im.blobs[0]) + len(im.blobs[1]))
	if got, want := all[len(all)-1], (Progress{Flattening, total, total, 2, 2}); got != want {
		t.Errorf("the last report is %+v, want %+v", got, want)
	}
	order := []Phase{Resolving, Downloading, Flattening}
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if slices.Index(order, b.Phase) < slices.Index(order, a.Phase) || b.Bytes < a.Bytes || b.LayersDone < a.LayersDone {
			t.Errorf("report %+v comes after %+v", b, a)
		}
	}
}

// Blobs may come from another host, which gets no credentials.
func TestRedirect(t *testing.T) {
	store := newFakeRegistry(t)
	im := simpleImage(t, noise(300_000))
	store.add("latest", im)
	var broken atomic.Bool
	store.wrap = func(digest string, w http.ResponseWriter) http.ResponseWriter {
		if digest != digestOf(im.blobs[0]) || broken.Swap(true) {
			return w
		}
		return &breaking{w, 100_000}
	}
	var leaked atomic.Bool
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(cdn.Close)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "u" || pass != "p" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, cdn.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	ensure(t, openStore(t, Options{}), hostOf(t, front.URL)+"/x", Auth{Username: "u", Password: "p"}).Release()
	if leaked.Load() {
		t.Error("the other host got the credentials")
	}
	if !slices.ContainsFunc(store.ranges, func(r string) bool { return r != "" }) {
		t.Errorf("the break was not resumed through the redirect: %q", store.ranges)
	}
	for to, ok := range map[string]bool{
		"https://cdn.example/x": true, "https://10.0.0.1/x": true, "https://127.0.0.1/x": false, "https://localhost/x": false, "https://169.254.169.254/x": false, "https://[::1]/x": false,
	} {
		from, _ := http.NewRequest(http.MethodGet, "https://registry.example/v2/", nil)
		req, _ := http.NewRequest(http.MethodGet, to, nil)
		if err := checkRedirect(req, []*http.Request{from}); (err == nil) != ok {
			t.Errorf("redirect to %s: %v", to, err)
		}
	}
}
