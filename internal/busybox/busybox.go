// Package busybox makes small real images of Debian's static busybox and pushes
// them to registries: for `make up`, the end-to-end tests and the benchmarks.
//
// The same busybox and options give the same image, byte for byte. The package
// is no part of cisd, which makes no images.
package busybox

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Options of an image.
type Options struct {
	// Config is the image's; nil for the command sh and nothing else.
	Config *v1.Config
	// Layers are laid over busybox, one after the other.
	Layers []v1.Layer
}

// File is an entry of a layer: a directory if its Name ends with a slash, a
// symbolic link if Link is set, else a file.
type File struct {
	Name string
	// Mode is the permission bits; 0 for 0755 of programs and directories, 0644 of others.
	Mode     int64
	UID, GID int
	Content  []byte
	Link     string
}

// Image makes an image of the busybox at path, which must be linked statically.
func Image(path string, o Options) (v1.Image, error) {
	img, err := image(path, o)
	if err != nil {
		return nil, fmt.Errorf("make an image of %s: %w", path, err)
	}
	return img, nil
}

func image(path string, o Options) (v1.Image, error) {
	base, err := baseLayer(path)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, append([]v1.Layer{base}, o.Layers...)...)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = runtime.GOOS, runtime.GOARCH
	file.Config = v1.Config{Cmd: []string{"sh"}}
	if o.Config != nil {
		file.Config = *o.Config
	}
	if !slices.ContainsFunc(file.Config.Env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		file.Config.Env = append(slices.Clone(file.Config.Env), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return mutate.ConfigFile(img, file)
}

// Push sends an image to its registry, by http where that is on loopback.
func Push(ctx context.Context, ref string, img v1.Image, options ...remote.Option) error {
	tag, err := name.ParseReference(ref)
	if err == nil {
		err = remote.Write(tag, img, append(options, remote.WithContext(ctx))...)
	}
	if err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	return nil
}

// Layer makes a layer of files.
func Layer(files ...File) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		if err := add(w, f); err != nil {
			return nil, fmt.Errorf("layer entry %s: %w", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	})
}

func add(w *tar.Writer, f File) error {
	h := &tar.Header{Name: f.Name, Mode: f.Mode, Uid: f.UID, Gid: f.GID, Typeflag: tar.TypeReg, Size: int64(len(f.Content))}
	mode := int64(0o644)
	switch {
	case strings.HasSuffix(f.Name, "/"):
		h.Typeflag, mode = tar.TypeDir, 0o755
	case f.Link != "":
		h.Typeflag, h.Linkname, mode = tar.TypeSymlink, f.Link, 0o777
	case strings.HasPrefix(f.Name, "bin/"):
		mode = 0o755
	}
	if h.Mode == 0 {
		h.Mode = mode
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(f.Content)
	return err
}

// baseLayer has busybox under the names of all that it can do, as hard links, and
// the few files that programs expect.
func baseLayer(path string) (v1.Layer, error) {
	if err := checkStatic(path); err != nil {
		return nil, err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	names, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("ask it for its names: %w", err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range base {
		if err := add(w, f); err != nil {
			return nil, err
		}
	}
	if err := add(w, File{Name: "bin/busybox", Content: program}); err != nil {
		return nil, err
	}
	for _, applet := range strings.Fields(string(names)) {
		if applet == "busybox" {
			continue
		}
		link := &tar.Header{Typeflag: tar.TypeLink, Name: "bin/" + applet, Linkname: "bin/busybox", Mode: 0o755}
		if err := w.WriteHeader(link); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	})
}

var base = []File{
	{Name: "bin/"}, {Name: "dev/"}, {Name: "etc/"}, {Name: "home/"}, {Name: "home/user/", UID: 1000, GID: 1000},
	{Name: "proc/"}, {Name: "root/", Mode: 0o700}, {Name: "sys/"}, {Name: "tmp/", Mode: 0o1777},
	{Name: "usr/"}, {Name: "usr/bin/"}, {Name: "usr/sbin/"}, {Name: "var/"}, {Name: "var/tmp/", Mode: 0o1777},
	{Name: "etc/passwd", Content: []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
	{Name: "etc/group", Content: []byte("root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n")},
	{Name: "etc/shadow", Mode: 0o640, Content: []byte("root:*:::::::\nuser:*:::::::\nnobody:*:::::::\n")},
}

// checkStatic refuses a busybox that needs libraries, which the image has not.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is not linked statically: take the one of Debian's package busybox-static")
		}
	}
	return nil
}
