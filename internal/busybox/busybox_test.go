package busybox_test

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"cis/internal/busybox"
	"cis/internal/testbox"
)

func TestImageIsTheSameEachTime(t *testing.T) {
	var digests []string
	for range 2 {
		img, err := busybox.Image(testbox.Busybox(t), busybox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("digests differ: %v", digests)
	}
}

func TestPushedImageHasItsFiles(t *testing.T) {
	host := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer host.Close()
	ref := strings.TrimPrefix(host.URL, "http://") + "/sub/busybox:1"
	layer, err := busybox.Layer(busybox.File{Name: "etc/motd", Content: []byte("hi\n")}, busybox.File{Name: "bin/hello", Link: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	img, err := busybox.Image(testbox.Busybox(t), busybox.Options{Layers: []v1.Layer{layer}, Config: &v1.Config{Entrypoint: []string{"/bin/echo"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := busybox.Push(t.Context(), ref, img); err != nil {
		t.Fatal(err)
	}

	tag, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]*tar.Header{}
	r := tar.NewReader(mutate.Extract(pulled))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[strings.TrimSuffix(h.Name, "/")] = h
	}
	for path, kind := range map[string]byte{"bin/busybox": tar.TypeReg, "bin/sh": tar.TypeLink, "etc/motd": tar.TypeReg, "bin/hello": tar.TypeSymlink, "tmp": tar.TypeDir} {
		if h := seen[path]; h == nil || h.Typeflag != kind {
			t.Errorf("%s: got %v, want type %q", path, h, kind)
		}
	}
	config, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Entrypoint; len(got) != 1 || got[0] != "/bin/echo" {
		t.Errorf("entrypoint %q", got)
	}
}

func TestDynamicProgramIsRefused(t *testing.T) {
	_, err := busybox.Image("/bin/ls", busybox.Options{})
	if err == nil || !strings.Contains(err.Error(), "not linked statically") {
		t.Errorf("got %v", err)
	}
}
