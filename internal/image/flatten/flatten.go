// Package flatten applies the layers of an image, lowest first, and writes the
// result as one EROFS file.
//
// Nothing is ever unpacked: names, links and attributes live in a tree in
// memory, where "..", absolute links and symlinks have nowhere to lead to but
// the tree's own root, and the data of files goes straight from the layer into
// the EROFS file. No path of a layer reaches the host's file system.
//
// Where the image specification leaves room, it does what umoci's unpacker
// does, which confines a hostile layer instead of trusting it (for whiteouts it
// keeps to the specification, which umoci does only if they come first):
//   - ".." and absolute names are cut off at the root, and a symlink in the
//     middle of a name is followed inside the root; missing directories of a
//     name are made (mode 0755, owner 0:0, time 0).
//   - A later entry replaces an earlier one of the same name with all below it,
//     except that a directory over a directory keeps the children.
//   - A hard link is the same inode as its target, also across layers, and
//     keeps that inode's metadata.
//   - Whiteouts and opaque markers hide what lower layers have, never what the
//     same layer has, whatever the order in the archive.
//
// What no file system could hold (a name over 255 bytes, a hard link to nothing
// or to a directory, a file below a file, an unknown entry type) is refused as
// Invalid. Attributes that the format has no place for, and overlayfs' own
// (trusted.overlay.*), are left out.
package flatten

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"syscall"

	"archive/tar"

	"cis/api"
	"cis/internal/erofs"
)

// Limits bound what the layers of one image may come to. All are required.
type Limits struct {
	Bytes   int64 // of file data as unpacked, holes included, and of each layer's archive
	Entries int   // in all archives together
}

// metadataBytes bounds what names, link targets and attributes of one image
// hold in memory.
const metadataBytes = 512 << 20

// accountFile is the most that is kept of /etc/passwd and /etc/group each.
const accountFile = 1 << 20

// Result describes a finished file.
type Result struct {
	// Size is the file's length in bytes; holes make it longer than what it
	// takes on disk.
	Size int64
	// FullOffset is where the file system with extended attributes begins:
	// 0 if there are none (see package erofs).
	FullOffset int64
	// Passwd and Group are the image's /etc/passwd and /etc/group, up to 1 MiB
	// each; empty if it has none.
	Passwd, Group []byte
}

// Flattener builds one file. Not safe for concurrent use. After an error it and
// the file are of no use.
type Flattener struct {
	file   *os.File
	out    *erofs.Writer
	tree   *tree
	limits Limits
	left   Limits // what may still come
	meta   int64
}

// New begins an image in file, which must be empty and stays the caller's to
// sync and close.
func New(file *os.File, limits Limits) *Flattener {
	return &Flattener{file: file, out: erofs.NewWriter(file), tree: newTree(limits.Entries), limits: limits, left: limits}
}

// Layer applies the next layer: a tar archive, plain or compressed with gzip or
// zstd. It returns the digest of the uncompressed archive, "sha256:…".
func (f *Flattener) Layer(ctx context.Context, r io.Reader) (diffID string, err error) {
	plain, err := Decompress(&ctxReader{ctx, r})
	if err != nil {
		return "", layerError(ctx, err)
	}
	defer plain.Close()
	hash := sha256.New()
	// One byte over the limit is let through, so that reaching it can be told
	// from ending there.
	bounded := &io.LimitedReader{R: plain, N: min(f.limits.Bytes, math.MaxInt64-1) + 1}
	stream := io.TeeReader(bounded, hash)
	f.tree.beginLayer()
	err = f.entries(tar.NewReader(stream))
	if err == nil {
		// What follows the archive's end counts for the digest too.
		_, err = io.Copy(io.Discard, stream)
	}
	if bounded.N <= 0 {
		return "", f.tooLarge()
	}
	if err != nil {
		return "", layerError(ctx, err)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil)), nil
}

func (f *Flattener) entries(tr *tar.Reader) error {
	for {
		hdr, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f.account(hdr); err != nil {
			return err
		}
		if err := f.entry(hdr, tr); err != nil {
			return fmt.Errorf("entry %.200q: %w", hdr.Name, err)
		}
	}
}

// account takes the entry off what is left of the limits.
func (f *Flattener) account(hdr *tar.Header) error {
	f.left.Entries--
	if f.left.Entries < 0 {
		return invalid("the image has more than %d files", f.limits.Entries)
	}
	if hdr.Size < 0 || hdr.Size > f.left.Bytes {
		return f.tooLarge()
	}
	f.left.Bytes -= hdr.Size
	f.meta += int64(len(hdr.Name) + len(hdr.Linkname))
	for k, v := range hdr.PAXRecords {
		f.meta += int64(len(k) + len(v))
	}
	if f.meta > metadataBytes {
		return invalid("the names and attributes of the image's files exceed %d MiB", metadataBytes>>20)
	}
	return nil
}

func (f *Flattener) tooLarge() error {
	return invalid("the image unpacks to more than %d bytes", f.limits.Bytes)
}

// entry applies one entry of the archive.
func (f *Flattener) entry(hdr *tar.Header, data io.Reader) error {
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name := path.Clean("/" + hdr.Name)[1:]
	if err := checkPath(name); err != nil {
		return err
	}
	if mark, err := f.whiteout(name); mark || err != nil {
		return err
	}
	if name == "" {
		return f.rootEntry(hdr)
	}
	dir, base, err := f.tree.parent(name, true)
	if err != nil {
		return err
	}
	in, err := f.make(hdr, dir, base, data)
	if err != nil {
		return err
	}
	dir.put(base, in)
	return nil
}

// rootEntry applies an entry for the root itself, which can only be what it is.
func (f *Flattener) rootEntry(hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir {
		return invalid("the root of the image is not a directory")
	}
	return setMetadata(f.tree.root, hdr)
}

// Finish completes the file.
func (f *Flattener) Finish() (*Result, error) {
	var res Result
	var err error
	if res.Passwd, err = f.read("etc/passwd"); err != nil {
		return nil, err
	}
	if res.Group, err = f.read("etc/group"); err != nil {
		return nil, err
	}
	full, err := f.out.Finish(f.tree.root)
	if err != nil {
		return nil, fmt.Errorf("write the file system: %w", err)
	}
	if full {
		res.FullOffset = erofs.FullOffset
	}
	info, err := f.file.Stat()
	if err != nil {
		return nil, err
	}
	res.Size = info.Size()
	return &res, nil
}

// read returns the beginning of a regular file of the tree, or nothing.
func (f *Flattener) read(name string) ([]byte, error) {
	in := f.tree.lookup(name)
	if in == nil || in.Type() != erofs.TypeRegular {
		return nil, nil
	}
	return f.out.ReadData(in, accountFile)
}

// layerError tells a bad layer from a failing host: what comes from reading the
// archive is the layer's fault, unless it is an error of the system below.
func layerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, ok := errors.AsType[*api.Error](err); ok {
		// Keep the entry's name, which is in the wrapping.
		return &api.Error{Code: api.CodeOf(err), Message: "bad layer: " + err.Error(), Err: err}
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return err
	}
	return api.Errorf(api.Invalid, "damaged layer: %w", err)
}

func invalid(format string, args ...any) error {
	return api.Errorf(api.Invalid, format, args...)
}

// ctxReader stops reading when its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
