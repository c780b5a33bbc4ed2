package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"cis/api"
	"cis/internal/image/flatten"
)

// archive is a tar archive on disk, uncompressed, with a table of its files.
type archive struct {
	file   *os.File // has no name any more: it goes when closed
	length int64
	sum    string // sha256, hex
	files  map[string]member
}

// member is a regular file of the archive, or a link to one.
type member struct {
	offset, size int64
	link         string
}

// spool copies an archive from r into dir and lists it. Archives of images are
// written in no order, so they have to be here as a whole.
func spool(ctx context.Context, r io.Reader, dir string, limits Limits) (_ *archive, err error) {
	f, err := os.CreateTemp(dir, "import-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	plain, err := flatten.Decompress(r)
	if err != nil {
		return nil, damaged(err)
	}
	defer plain.Close()
	hash := sha256.New()
	n, err := copyContext(ctx, io.MultiWriter(f, hash), io.LimitReader(plain, limits.UnpackedBytes+1))
	if err != nil {
		return nil, damaged(err)
	}
	if n > limits.UnpackedBytes {
		return nil, api.Errorf(api.Invalid, "the archive unpacks to more than %d bytes", limits.UnpackedBytes)
	}
	a := &archive{file: f, length: n, sum: hex.EncodeToString(hash.Sum(nil)), files: map[string]member{}}
	return a, a.list(ctx, limits.Entries)
}

// list reads the table of files. Names that an image archive cannot have are
// harmless: they are only ever looked up.
func (a *archive) list(ctx context.Context, limit int) error {
	section := io.NewSectionReader(a.file, 0, a.length)
	tr := tar.NewReader(section)
	for ctx.Err() == nil {
		hdr, err := tr.Next()
		if err == io.EOF {
			return a.checkEnd()
		}
		if err != nil {
			return api.Errorf(api.Invalid, "it is not a tar archive: %w", err).
				WithNext("give an OCI layout, a docker-save archive or a root file system as tar")
		}
		if len(a.files) >= limit {
			return api.Errorf(api.Invalid, "the archive has more than %d files", limit)
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		name := path.Clean("/" + hdr.Name)[1:]
		m := member{offset: offset, size: hdr.Size}
		switch hdr.Typeflag {
		case tar.TypeSymlink:
			m.link = path.Join(path.Dir(name), hdr.Linkname)
		case tar.TypeLink:
			m.link = path.Clean("/" + hdr.Linkname)[1:]
		}
		a.files[name] = m
	}
	return ctx.Err()
}

// checkEnd refuses an archive without the blocks of zeros that end it: one that
// was cut off between two files would else be taken for a smaller one.
func (a *archive) checkEnd() error {
	var last [512]byte
	if a.length == 0 {
		return nil // an empty archive is refused as such
	}
	if _, err := a.file.ReadAt(last[:], max(0, a.length-int64(len(last)))); err != nil {
		return damaged(err)
	}
	if last != [512]byte{} {
		return api.Errorf(api.Invalid, "the archive is cut off: its end is missing").WithNext("send the whole archive")
	}
	return nil
}

func (a *archive) Close() error { return a.file.Close() }

// find follows links: docker once saved equal layers as links to one.
func (a *archive) find(name string) (member, bool) {
	name = path.Clean("/" + name)[1:]
	for range 10 {
		m, ok := a.files[name]
		if !ok || m.link == "" {
			return m, ok
		}
		name = strings.TrimPrefix(m.link, "/")
	}
	return member{}, false
}

func (a *archive) has(name string) bool { _, ok := a.find(name); return ok }

func (a *archive) size(name string) (int64, bool) {
	m, ok := a.find(name)
	return m.size, ok
}

// read returns a small file.
func (a *archive) read(name string, limit int64) ([]byte, error) {
	m, ok := a.find(name)
	if !ok {
		return nil, api.Errorf(api.Invalid, "the archive lacks %.200q", name)
	}
	if m.size > limit {
		return nil, api.Errorf(api.Invalid, "the archive's %.200q exceeds %d bytes", name, limit)
	}
	b := make([]byte, m.size)
	if _, err := a.file.ReadAt(b, m.offset); err != nil {
		return nil, damaged(err)
	}
	return b, nil
}

// blob returns a small blob of an OCI layout, verified.
func (a *archive) blob(d v1.Descriptor, limit int64) ([]byte, error) {
	b, err := a.read(blobName(d.Digest), limit)
	if err == nil && digestOf(b) != d.Digest.String() {
		err = api.Errorf(api.Invalid, "the archive's blob %s is damaged: its content has the digest %s", d.Digest, digestOf(b))
	}
	return b, err
}

// openLayer opens a layer's archive.
type openLayer = func(context.Context) (io.ReadCloser, error)

func (a *archive) opener(name string) openLayer {
	return func(context.Context) (io.ReadCloser, error) {
		m, _ := a.find(name)
		return io.NopCloser(io.NewSectionReader(a.file, m.offset, m.size)), nil
	}
}

// verified opens a layer after checking the digest of its compressed form.
func (a *archive) verified(name string, d v1.Descriptor) openLayer {
	return func(ctx context.Context) (io.ReadCloser, error) {
		r, err := a.opener(name)(ctx)
		if err != nil {
			return nil, err
		}
		hash := sha256.New()
		if _, err := copyContext(ctx, hash, r); err != nil {
			return nil, err
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != d.Digest.Hex {
			return nil, api.Errorf(api.Invalid, "layer %s is damaged: its content has the digest sha256:%s", d.Digest, got)
		}
		return a.opener(name)(ctx)
	}
}

// whole opens the archive itself.
func (a *archive) whole(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(a.file, 0, a.length)), nil
}

// diffIDs is what a config says of the archive as its one layer.
func (a *archive) diffIDs() []digest.Digest {
	return []digest.Digest{digest.NewDigestFromEncoded(digest.SHA256, a.sum)}
}

func copyContext(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	return io.Copy(w, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// damaged blames the archive, unless the fault is the system's or the caller's.
func damaged(err error) error {
	_, system := errors.AsType[syscall.Errno](err)
	if system || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return api.Errorf(api.Invalid, "the archive is damaged: %w", err)
}

// importError makes an *api.Error of what is none yet.
func importError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return api.Errorf(api.Exhausted, "import: no space is left: %w", err).
			WithNext("free disk space, or remove images with `cis image rm`")
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return about("import", e, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return api.Errorf(api.Internal, "import: %w", err)
}
