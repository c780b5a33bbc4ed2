// Package erofs writes EROFS file systems: read-only, uncompressed, 4096-byte
// blocks, one file, the same bytes for the same input.
//
// It writes what the kernel and gVisor both mount, and keeps exactly what
// stat(2) shows: hard links are one inode, times have nanoseconds, ids have 32
// bits. Regular files are stored in whole blocks; blocks of zeros and data that
// the final tree does not use are holes in the file.
//
// gVisor refuses an inode that has extended attributes (Inode in its
// pkg/erofs). A tree that has some is therefore written with two sets of
// metadata over one set of data: the file system at offset 0 has no extended
// attributes, and the one at offset FullOffset is complete. The second costs
// its metadata only.
//
// It reads nothing back but the files it wrote, never compresses, and never
// writes the format's optional parts (chunks, shared attributes, checksums).
// Limits: 16 TiB a file, 255 bytes a name, 4095 bytes a link target, 256 KiB
// of attributes a file.
package erofs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// FullOffset is where the file system with extended attributes begins, in
// bytes, if the tree has any. As its superblock is one block into the file, its
// block numbers are one less than those of the file system at offset 0.
const FullOffset = blockSize

const firstData = 2 // blocks 0 and 1 are for the two superblocks

var errTooLarge = errors.New("the file system exceeds 16 TiB")

// Writer makes one file system. Not safe for concurrent use.
type Writer struct {
	f     *os.File
	buf   []byte // data not yet written; begins at block base
	fill  int
	base  int64
	files []*Inode // in the order of their data
}

// NewWriter begins a file system in f, which must be empty and stays the
// caller's to sync and close.
func NewWriter(f *os.File) *Writer {
	return &Writer{f: f, buf: make([]byte, 1<<20), base: firstData}
}

// WriteData stores size bytes of r as the data of the regular file in, once. It
// returns io.ErrUnexpectedEOF if r ends before that.
func (w *Writer) WriteData(in *Inode, r io.Reader, size int64) error {
	if size == 0 {
		return nil
	}
	start := w.base + int64(w.fill/blockSize)
	if start+size/blockSize >= maxBlocks {
		return errTooLarge
	}
	for left := size; left > 0; {
		if w.fill == len(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
		n, err := io.ReadFull(r, w.buf[w.fill:w.fill+int(min(left, int64(len(w.buf)-w.fill)))])
		w.fill += n
		left -= int64(n)
		if err == io.EOF {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	w.pad()
	in.size, in.block = size, uint32(start)
	w.files = append(w.files, in)
	return nil
}

// pad fills up the last block with zeros.
func (w *Writer) pad() {
	end := int(roundUp(int64(w.fill), blockSize))
	clear(w.buf[w.fill:end])
	w.fill = end
}

var zeros [blockSize]byte

// flush writes the buffered blocks that are not all zeros. Only whole blocks
// are buffered when it is called.
func (w *Writer) flush() error {
	data := w.buf[:w.fill]
	for off := 0; off < len(data); {
		end := off
		for end < len(data) && !bytes.Equal(data[end:end+blockSize], zeros[:]) {
			end += blockSize
		}
		if end > off {
			if _, err := w.f.WriteAt(data[off:end], w.base*blockSize+int64(off)); err != nil {
				return err
			}
		}
		off = end + blockSize
	}
	w.base += int64(w.fill / blockSize)
	w.fill = 0
	return nil
}

// ReadData returns up to max bytes of what WriteData stored for in.
func (w *Writer) ReadData(in *Inode, max int64) ([]byte, error) {
	if err := w.flush(); err != nil {
		return nil, err
	}
	b := make([]byte, min(in.size, max))
	_, err := w.f.ReadAt(b, int64(in.block)*blockSize)
	if err != nil && err != io.EOF { // EOF: the rest is a hole that is not there yet
		return nil, fmt.Errorf("read back: %w", err)
	}
	return b, nil
}

// Finish writes the tree's metadata and says whether there are two file
// systems (see FullOffset). No other method may be called afterwards.
func (w *Writer) Finish(root *Inode) (full bool, err error) {
	if !root.IsDir() {
		return false, errors.New("the root is not a directory")
	}
	if err := w.flush(); err != nil {
		return false, err
	}
	inodes, err := number(root)
	if err != nil {
		return false, err
	}
	if err := w.dropUnused(); err != nil {
		return false, err
	}
	views := []*view{{inodes: inodes}}
	for _, in := range inodes {
		if len(in.Xattrs) > 0 {
			full = true
			views = append(views, &view{inodes: inodes, xattrs: true, shift: FullOffset / blockSize})
			break
		}
	}
	end := uint32(w.base)
	for _, v := range views {
		if err := v.place(end); err != nil {
			return false, err
		}
		if err := w.writeView(v); err != nil {
			return false, err
		}
		end = v.end
	}
	// Both superblocks count the blocks of the whole file from their own start.
	for _, v := range views {
		sb := super(v.rootNid, uint32(len(inodes)), end-v.shift, v.metaBlock-v.shift)
		if _, err := w.f.WriteAt(sb, int64(v.shift)*blockSize+superOffset); err != nil {
			return false, err
		}
	}
	return full, w.f.Truncate(int64(end) * blockSize)
}

// writeView writes the metadata of v behind what is there.
func (w *Writer) writeView(v *view) error {
	out := &offsetWriter{Writer: bufio.NewWriterSize(io.NewOffsetWriter(w.f, int64(v.metaBlock)*blockSize), 1<<20)}
	var b [inodeSize]byte
	for i, in := range v.inodes {
		var xattrs, tail []byte
		if v.xattrs {
			xattrs, _ = in.encodeXattrs() // checked by place
		}
		size, raw := in.size, in.raw-v.shift
		switch in.Type() {
		case TypeDir, TypeSymlink:
			tail = in.tail()
			size = int64(len(tail))
			if in.inline || size == 0 {
				raw = 0
			}
		case TypeRegular:
			raw = in.block - v.shift
			if size == 0 {
				raw = 0
			}
		default:
			raw = in.Rdev
		}
		clear(b[:])
		in.encode(b[:], size, raw, uint32(i+1), len(xattrs), in.inline)
		out.padTo(int64(in.nid) * slotSize)
		out.write(b[:])
		out.write(xattrs)
		if in.inline {
			out.write(tail)
		}
	}
	out.padTo(v.metaSize)
	for _, in := range v.inodes {
		if in.tailSize() > 0 && !in.inline {
			out.write(in.tail())
			out.padTo(roundUp(out.n, blockSize))
		}
	}
	return out.Flush()
}

// dropUnused turns the data of files that are not in the tree (deleted by a
// later layer) into holes, so that they cost no disk and cannot be read.
func (w *Writer) dropUnused() error {
	for _, in := range w.files {
		if in.nlink > 0 {
			continue
		}
		off, n := int64(in.block)*blockSize, roundUp(in.size, blockSize)
		err := unix.Fallocate(int(w.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		if errors.Is(err, unix.EOPNOTSUPP) {
			_, err = io.CopyN(io.NewOffsetWriter(w.f, off), zeroReader{}, n)
		}
		if err != nil {
			return fmt.Errorf("drop unused data: %w", err)
		}
	}
	w.files = nil
	return nil
}

// zeroReader reads zeros for ever.
type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// offsetWriter counts, and pads with zeros. Its errors stick and come out of
// Flush, as bufio's do.
type offsetWriter struct {
	*bufio.Writer
	n int64
}

func (w *offsetWriter) write(b []byte) {
	n, _ := w.Write(b)
	w.n += int64(n)
}

func (w *offsetWriter) padTo(off int64) {
	for w.n < off {
		n, err := w.Write(zeros[:min(off-w.n, blockSize)])
		w.n += int64(n)
		if err != nil {
			return
		}
	}
}
