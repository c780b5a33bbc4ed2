package image

import (
	"cis/api"
	"context"
	"testing"
)

// BenchmarkReady is Ensure for an image that is here.
func BenchmarkReady(b *testing.B) {
	f := newFakeRegistry(b)
	f.add("latest", simpleImage(b, "x"))
	s := openStore(b, Options{})
	req := Request{Ref: f.host() + "/x", Policy: api.PullIfNotPresent}
	ensure(b, s, req.Ref).Release()
	b.ReportAllocs()
	for b.Loop() {
		l, err := s.Ensure(context.Background(), req)
		if err != nil {
			b.Fatal(err)
		}
		l.Release()
	}
}

// BenchmarkPull is a whole pull of a small image from this machine: resolve,
// download, verify, flatten, sync, and the removal.
func BenchmarkPull(b *testing.B) {
	f := newFakeRegistry(b)
	f.add("latest", simpleImage(b, noise(1<<20)))
	s := openStore(b, Options{})
	for b.Loop() {
		ensure(b, s, f.host()+"/x").Release()
		if err := s.Remove("", f.host()+"/x"); err != nil {
			b.Fatal(err)
		}
	}
}
