package image

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeRegistry serves images from memory and can be told to misbehave. Its
// repositories all hold the same.
type fakeRegistry struct {
	*httptest.Server
	mu        sync.Mutex
	manifests map[string]testImage // by tag and digest
	blobs     map[string][]byte
	requests  map[string]int // by method and path
	ranges    []string       // Range headers of blob requests

	// wrap, if set, changes the answer to a request for a blob.
	wrap func(digest string, w http.ResponseWriter) http.ResponseWriter
	// noRange makes it ignore Range headers.
	noRange bool
	// gate, if set, holds up every blob until it is closed.
	gate chan struct{}
}

func newFakeRegistry(t testing.TB) *fakeRegistry {
	f := &fakeRegistry{manifests: map[string]testImage{}, blobs: map[string][]byte{}, requests: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeRegistry) host() string { return strings.TrimPrefix(f.URL, "http://") }

func (f *fakeRegistry) add(tag string, im testImage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.manifests[tag], f.manifests[im.digest()] = im, im
	for _, b := range im.blobs {
		f.blobs[digestOf(b)] = b
	}
}

// count returns how many requests had a path containing part.
func (f *fakeRegistry) count(part string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for path, c := range f.requests {
		if strings.Contains(path, part) {
			n += c
		}
	}
	return n
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	f.mu.Lock()
	f.requests[r.URL.Path]++
	im, hasImage := f.manifests[last]
	blob, hasBlob := f.blobs[last]
	wrap, noRange, gate := f.wrap, f.noRange, f.gate
	isBlob := strings.Contains(r.URL.Path, "/blobs/")
	if isBlob {
		f.ranges = append(f.ranges, r.Header.Get("Range"))
	}
	f.mu.Unlock()
	switch {
	case r.URL.Path == "/v2/":
	case strings.Contains(r.URL.Path, "/manifests/") && hasImage:
		w.Header().Set("Content-Type", im.mediaType)
		w.Write(im.manifest)
	case isBlob && hasBlob:
		if gate != nil {
			select {
			case <-gate:
			case <-r.Context().Done():
				return
			}
		}
		if wrap != nil {
			w = wrap(last, w)
		}
		if noRange {
			r.Header.Del("Range")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
	default:
		http.NotFound(w, r)
	}
}

// breaking lets n bytes through and then breaks the connection.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) > b.left {
		b.ResponseWriter.Write(p[:b.left])
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	b.left -= len(p)
	return b.ResponseWriter.Write(p)
}

// hanging lets n bytes through and then waits.
type hanging struct {
	http.ResponseWriter
	left int
	wait <-chan struct{}
}

func (h *hanging) Write(p []byte) (int, error) {
	if len(p) > h.left {
		h.ResponseWriter.Write(p[:h.left])
		h.ResponseWriter.(http.Flusher).Flush()
		<-h.wait
		return 0, io.ErrClosedPipe
	}
	h.left -= len(p)
	return h.ResponseWriter.Write(p)
}
