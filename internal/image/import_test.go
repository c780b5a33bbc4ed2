package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cis/api"
)

// ociTar is an OCI layout of images, each under the annotation's name.
func ociTar(t *testing.T, annotation string, names []string, images ...testImage) []byte {
	files := []string{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`}
	var descs []object
	for i, im := range images {
		d := descriptor(im.mediaType, im.manifest)
		if names[i] != "" {
			d["annotations"] = object{annotation: names[i]}
		}
		descs = append(descs, d)
		for _, b := range append(im.blobs, im.manifest) {
			files = append(files, "blobs/sha256/"+digestOf(b)[7:], string(b))
		}
	}
	return tarOf(t, append(files, "index.json", string(toJSON(t, object{"schemaVersion": 2, "manifests": descs})))...)
}

// dockerTar is what docker save writes, its layers uncompressed.
func dockerTar(t *testing.T, tags []string, im testImage) []byte {
	var files, layers []string
	for i, l := range im.layers {
		name := string(rune('a'+i)) + "/layer.tar"
		files, layers = append(files, name, string(l)), append(layers, name)
	}
	conf := digestOf(im.config)[7:] + ".json"
	files = append(files, conf, string(im.config), "manifest.json", string(toJSON(t, []object{{"Config": conf, "RepoTags": tags, "Layers": layers}})))
	return tarOf(t, files...)
}

func TestImport(t *testing.T) {
	im := makeImage(t, false, gzipped, tarOf(t, "content", "one"), tarOf(t, "more", "two"))
	other := simpleImage(t, "other")
	rootfs := tarOf(t, "bin/", "", "bin/sh", "x", "content", "files", "etc/passwd", "u:x:5:6::/h:/s\n")
	named := func(n string) ImportOptions { return ImportOptions{Ref: n} }
	for name, c := range map[string]struct {
		archive []byte
		opts    ImportOptions
		refs    []string
		content string
		digest  string
	}{
		"oci":            {ociTar(t, "org.opencontainers.image.ref.name", []string{"app:v1"}, im), named(""), []string{"docker.io/library/app:v1"}, "one", im.digest()},
		"oci containerd": {ociTar(t, "io.containerd.image.name", []string{"docker.io/library/app:v1"}, im), named(""), []string{"docker.io/library/app:v1"}, "one", im.digest()},
		"oci named":      {ociTar(t, "org.opencontainers.image.ref.name", []string{"v1"}, im), named("mine"), []string{"docker.io/library/mine:latest"}, "one", im.digest()},
		"oci gzip":       {gzipped(t, ociTar(t, "x", []string{""}, im)), named("mine"), []string{"docker.io/library/mine:latest"}, "one", im.digest()},
		"docker":         {dockerTar(t, []string{"app:1", "app:2"}, im), named(""), []string{"docker.io/library/app:1", "docker.io/library/app:2"}, "one", ""},
		"docker zstd":    {zstded(t, dockerTar(t, nil, im)), named("mine"), []string{"docker.io/library/mine:latest"}, "one", ""},
		"rootfs":         {rootfs, named("root"), []string{"docker.io/library/root:latest"}, "files", ""},
		"rootfs gzip":    {gzipped(t, rootfs), named("root"), []string{"docker.io/library/root:latest"}, "files", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			var digests []string
			for range 2 { // a second time changes nothing
				got, err := s.Import(context.Background(), bytes.NewReader(c.archive), c.opts)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 1 || !slices.Equal(got[0].Refs, c.refs) || c.digest != "" && got[0].Digest != c.digest {
					t.Fatalf("got %+v", got)
				}
				if got := contentOf(t, got[0], "content"); got != c.content {
					t.Errorf("content %q", got)
				}
				digests = append(digests, got[0].Digest)
			}
			if digests[0] != digests[1] {
				t.Errorf("digests %q", digests)
			}
			l, err := s.Ensure(context.Background(), Request{Ref: c.refs[0], Policy: api.PullNever})
			if err != nil {
				t.Fatal(err)
			}
			if c.content == "files" {
				if u, err := l.Image.User("u"); err != nil || u.UID != 5 {
					t.Errorf("user %+v, %v", u, err)
				}
			} else if l.Image.Config.Cmd[0] != "sh" {
				t.Errorf("config %+v", l.Image.Config)
			}
			l.Release()
			clean(t, s)
		})
	}
	t.Run("several", func(t *testing.T) {
		s := openStore(t, Options{})
		two := ociTar(t, "io.containerd.image.name", []string{"docker.io/library/a:1", "docker.io/library/b:1"}, im, other)
		got, err := s.Import(context.Background(), bytes.NewReader(two), ImportOptions{})
		if err != nil || len(got) != 2 || got[0].Digest != im.digest() || got[1].Digest != other.digest() {
			t.Errorf("got %+v, %v", got, err)
		}
		_, err = s.Import(context.Background(), bytes.NewReader(two), named("x"))
		wantCode(t, err, api.Invalid, "2 images")
	})
}

func TestImportRefused(t *testing.T) {
	im := simpleImage(t, "x")
	oci := ociTar(t, "x", []string{""}, im)
	damaged := im
	damaged.blobs = [][]byte{append(bytes.Clone(im.blobs[0]), 'x'), im.config}
	flipped := bytes.Clone(oci)
	flipped[bytes.Index(flipped, im.blobs[0])+len(im.blobs[0])-3]++
	arm := im
	arm.config = bytes.Replace(bytes.Clone(im.config), []byte("amd64"), []byte("arm64"), 1)
	for name, c := range map[string]struct {
		archive []byte
		ref     string
		words   string
	}{
		"empty":          {nil, "x", "not a tar archive"},
		"garbage":        {[]byte(strings.Repeat("garbage ", 1000)), "x", "not a tar archive"},
		"cut":            {oci[:len(oci)/2], "x", ""},
		"cut at a file":  {oci[:len(oci)-2048], "x", "cut off"},
		"cut gzip":       {gzipped(t, oci)[:1000], "x", "damaged"},
		"bad name":       {oci, "UPPER", "reference"},
		"no name":        {oci, "", "does not name"},
		"flipped bit":    {flipped, "x", "damaged"},
		"missing layer":  {ociTar(t, "x", []string{""}, damaged), "x", "lacks the layer"},
		"other platform": {dockerTar(t, nil, arm), "x", "linux/arm64"},
		"docker damaged": {bytes.Replace(dockerTar(t, nil, im), []byte("home/app"), []byte("home/ape"), 1), "x", "config says"},
		"hostile rootfs": {tarOf(t, "a", "=>../../etc/passwd"), "x", "hard link"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, Options{})
			_, err := s.Import(context.Background(), bytes.NewReader(c.archive), ImportOptions{Ref: c.ref})
			wantCode(t, err, api.Invalid, c.words)
			if len(s.List("")) != 0 {
				t.Error("an image was made")
			}
			clean(t, s)
		})
	}
	s := openStore(t, Options{Limits: Limits{UnpackedBytes: 1 << 20, Entries: 10}})
	_, err := s.Import(context.Background(), bytes.NewReader(gzipped(t, make([]byte, 2<<20))), ImportOptions{Ref: "x"})
	wantCode(t, err, api.Invalid, "unpacks to more than")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = s.Import(ctx, bytes.NewReader(oci), ImportOptions{Ref: "x"}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	clean(t, s)
}

// What podman and umoci write is taken in, and is what they unpack themselves.
func TestImportFromTools(t *testing.T) {
	top := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = top
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	rootfs := filepath.Join(top, "rootfs.tar")
	if err := os.WriteFile(rootfs, tarOf(t, "bin/", "", "bin/a", "applet", "bin/b", "=>bin/a", "content", "from a tool"), 0o600); err != nil {
		t.Fatal(err)
	}
	// podman keeps a cache in a fixed place, /var/lib/containers, which may not be
	// there yet: it gets a /var/lib of its own.
	podman := func(args ...string) {
		t.Helper()
		run("unshare", append([]string{"--mount", "sh", "-c", `mount -t tmpfs none /var/lib && exec podman "$@"`, "podman",
			"--root", filepath.Join(top, "graph"), "--runroot", filepath.Join(top, "run"), "--tmpdir", filepath.Join(top, "tmp"), "--storage-driver", "vfs"}, args...)...)
	}
	podman("import", rootfs, "localhost/tool:v1")
	for _, format := range []string{"docker-archive", "oci-archive"} {
		t.Run(format, func(t *testing.T) {
			out := filepath.Join(top, format+".tar")
			podman("save", "--format", format, "-o", out, "localhost/tool:v1")
			f, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := openStore(t, Options{})
			got, err := s.Import(context.Background(), f, ImportOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got[0].Refs[0] != "localhost/tool:v1" || contentOf(t, got[0], "content") != "from a tool" {
				t.Errorf("got %+v", got[0])
			}
		})
	}
	t.Run("umoci", func(t *testing.T) {
		run("umoci", "init", "--layout", "layout")
		run("umoci", "new", "--image", "layout:v1")
		run("umoci", "raw", "add-layer", "--image", "layout:v1", rootfs)
		run("tar", "-cf", "layout.tar", "-C", "layout", ".")
		f, err := os.Open(filepath.Join(top, "layout.tar"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := openStore(t, Options{})
		got, err := s.Import(context.Background(), f, ImportOptions{Ref: "tool"})
		if err != nil {
			t.Fatal(err)
		}
		if contentOf(t, got[0], "bin/b") != "applet" {
			t.Error("the hard link is lost")
		}
	})
}

// Old archives hold equal layers as links to one.
func TestImportLinkedLayers(t *testing.T) {
	layer := tarOf(t, "content", "x")
	im := makeImage(t, true, nil, layer, layer)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h *tar.Header, body []byte) {
		h.Size, h.Mode = int64(len(body)), 0o600
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write(body)
	}
	m, _ := json.Marshal([]dockerImage{{Config: "c.json", RepoTags: []string{"x:y"}, Layers: []string{"a/layer.tar", "b/layer.tar"}}})
	add(&tar.Header{Name: "b/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../a/layer.tar"}, nil)
	add(&tar.Header{Name: "a/layer.tar", Typeflag: tar.TypeReg}, layer)
	add(&tar.Header{Name: "c.json", Typeflag: tar.TypeReg}, im.config)
	add(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg}, m)
	add(&tar.Header{Name: "loop", Typeflag: tar.TypeSymlink, Linkname: "loop"}, nil)
	w.Close()
	got, err := openStore(t, Options{}).Import(context.Background(), &b, ImportOptions{})
	if err != nil || contentOf(t, got[0], "content") != "x" {
		t.Errorf("got %+v, %v", got, err)
	}
}
