package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"cis/api"
)

// tarOf makes a layer of names and contents; a name ending in a slash is a
// directory, a content beginning with "=>" a hard link.
func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o755, ModTime: time.Unix(1e9, 0), Size: int64(len(files[i+1]))}
		if strings.HasSuffix(h.Name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if to, ok := strings.CutPrefix(files[i+1], "=>"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, to, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write([]byte(files[i+1]))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(b, nil)
}

type object = map[string]any

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
	dockerV2    = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConf  = "application/vnd.docker.container.image.v1+json"
	dockerLayer = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// testImage is an image as a registry has it.
type testImage struct {
	mediaType string
	manifest  []byte
	blobs     [][]byte
	config    []byte
	layers    [][]byte // uncompressed
}

func (im testImage) digest() string { return digestOf(im.manifest) }

func descriptor(mediaType string, b []byte) object {
	return object{"mediaType": mediaType, "digest": digestOf(b), "size": len(b)}
}

// makeImage makes an image of uncompressed layers; compress may be nil.
func makeImage(t testing.TB, docker bool, compress func(testing.TB, []byte) []byte, layers ...[]byte) testImage {
	t.Helper()
	im := testImage{mediaType: ociManifest, layers: layers}
	confType, layerType := ociConfig, ociLayer
	if docker {
		im.mediaType, confType, layerType = dockerV2, dockerConf, dockerLayer
	}
	ids, descs := []string{}, []object{}
	for _, l := range layers {
		ids = append(ids, digestOf(l))
		if compress != nil {
			l = compress(t, l)
		}
		im.blobs = append(im.blobs, l)
		descs = append(descs, descriptor(layerType, l))
	}
	im.config = toJSON(t, object{"os": "linux", "architecture": "amd64", "created": "2020-01-02T03:04:05Z",
		"config": object{"Cmd": []string{"sh"}, "Env": []string{"A=b"}, "User": "app:staff", "WorkingDir": "/srv", "StopSignal": "SIGINT",
			"ExposedPorts": object{"80/tcp": object{}}, "Labels": object{"k": "v"}, "Volumes": object{"/data": object{}}},
		"rootfs": object{"type": "layers", "diff_ids": ids}})
	im.blobs = append(im.blobs, im.config)
	im.manifest = toJSON(t, object{"schemaVersion": 2, "mediaType": im.mediaType, "config": descriptor(confType, im.config), "layers": descs})
	return im
}

// simpleImage is an image of one file with that content.
func simpleImage(t testing.TB, content string) testImage {
	return makeImage(t, false, gzipped, tarOf(t, "etc/", "", "etc/passwd", "root:x:0:0:r:/root:/bin/sh\napp:x:7:8:a:/home/app:/bin/sh\n",
		"etc/group", "root:x:0:\nstaff:x:50:app\n", "content", content))
}

// push puts the image into a registry at base (http://host:port).
func push(t testing.TB, base, repo, tag string, im testImage) {
	t.Helper()
	for _, b := range im.blobs {
		pushBlob(t, base, repo, b)
	}
	pushManifest(t, base, repo, tag, im.mediaType, im.manifest)
	pushManifest(t, base, repo, im.digest(), im.mediaType, im.manifest)
}

func pushBlob(t testing.TB, base, repo string, b []byte) {
	t.Helper()
	resp := do(t, http.MethodPost, base+"/v2/"+repo+"/blobs/uploads/", "", nil, http.StatusAccepted)
	loc, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	q := loc.Query()
	q.Set("digest", digestOf(b))
	loc.RawQuery = q.Encode()
	do(t, http.MethodPut, loc.String(), "application/octet-stream", b, http.StatusCreated)
}

func pushManifest(t testing.TB, base, repo, tag, mediaType string, b []byte) {
	t.Helper()
	do(t, http.MethodPut, base+"/v2/"+repo+"/manifests/"+tag, mediaType, b, http.StatusCreated)
}

func do(t testing.TB, method, u, contentType string, body []byte, want int) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, u, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		t.Fatalf("%s %s: %s\n%s", method, u, resp.Status, said)
	}
	return resp
}

// dockerRegistry runs the docker-registry program over a storage directory, with
// more lines for its configuration, and returns its host:port.
func dockerRegistry(t testing.TB, storage, http, more string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	conf := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp:\n  addr: %s\n%s%s",
		storage, addr, http, more)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command("docker-registry", "serve", conf)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs docker-registry: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("docker-registry said:\n%s", out.String())
		}
	})
	for range 3000 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer:\n%s", out.String())
	return ""
}

// openStore opens a store in a directory of the test's.
func openStore(t testing.TB, opts Options) *Store {
	t.Helper()
	return openStoreIn(t, t.TempDir(), opts)
}

func openStoreIn(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	opts.Log = slog.New(slog.DiscardHandler)
	opts.Architecture = cmp.Or(opts.Architecture, "amd64")
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func ensure(t testing.TB, s *Store, ref string, auths ...Auth) *Lease {
	t.Helper()
	l, err := s.Ensure(context.Background(), Request{Ref: ref, Auths: auths})
	if err != nil {
		t.Fatalf("ensure %s: %v", ref, err)
	}
	return l
}

// wantCode fails unless err is an api.Error of that code that says all of words.
func wantCode(t testing.TB, err error, code api.Code, words ...string) {
	t.Helper()
	if err == nil || api.CodeOf(err) != code {
		t.Errorf("got the error %v (%s), want the code %s", err, api.CodeOf(err), code)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
}

// clean fails unless the store has no work in progress and no half images.
func clean(t testing.TB, s *Store) {
	t.Helper()
	for _, d := range []string{tmpDir} {
		list, err := os.ReadDir(filepath.Join(s.dir, d))
		if err != nil || len(list) > 0 {
			t.Errorf("%s holds %v, %v", d, list, err)
		}
	}
	list, _ := os.ReadDir(filepath.Join(s.dir, imagesDir))
	if len(list) != len(s.List("")) {
		t.Errorf("%d directories for %d images", len(list), len(s.List("")))
	}
}

// contentOf mounts the image and returns the file content in it.
func contentOf(t testing.TB, im Image, name string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "erofs", "-o", "loop,ro", im.Rootfs, dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	// Lazily: a process that another test begins may hold what is open here until it execs.
	defer func() {
		if out, err := exec.Command("umount", "--lazy", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	}()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func hostOf(t testing.TB, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
