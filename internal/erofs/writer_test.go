package erofs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the kernel, gVisor and umoci make of these files is tested in package
// flatten, over whole images. Here is what layers cannot say.

func newWriter(t *testing.T) (*Writer, *os.File) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x.erofs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return NewWriter(f), f
}

func fsck(t *testing.T, f *os.File) {
	t.Helper()
	if out, err := exec.Command("fsck.erofs", "--extract", f.Name()).CombinedOutput(); err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}
}

func TestSizesAroundBlocks(t *testing.T) {
	w, f := newWriter(t)
	root := NewDir(0o755)
	for _, size := range []int{0, 1, 4095, 4096, 4097, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 17} {
		in := &Inode{Mode: TypeRegular | 0o644}
		data := bytes.Repeat([]byte{byte(size)}, size)
		if err := w.WriteData(in, bytes.NewReader(data), int64(size)); err != nil {
			t.Fatal(err)
		}
		if got, err := w.ReadData(in, 1<<30); err != nil || !bytes.Equal(got, data) {
			t.Errorf("size %d: read back %d bytes, %v", size, len(got), err)
		}
		root.Entries[strings.Repeat("f", len(root.Entries)+1)] = in
	}
	if full, err := w.Finish(root); full || err != nil {
		t.Fatalf("full %v, %v", full, err)
	}
	fsck(t, f)
}

func TestShortData(t *testing.T) {
	w, _ := newWriter(t)
	if err := w.WriteData(&Inode{Mode: TypeRegular}, strings.NewReader("short"), 6); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

// Directories whose data ends just at, before and behind the ends of blocks.
func TestDirectorySizes(t *testing.T) {
	for n := 300; n < 330; n++ {
		w, f := newWriter(t)
		root, sub := NewDir(0o755), NewDir(0o700)
		root.Entries["sub"] = sub
		for i := range n {
			sub.Entries[strings.Repeat(string(rune('a'+i%26)), i/26+1)] = &Inode{Mode: TypeSymlink | 0o777, Target: strings.Repeat("t", 1+i*12)}
		}
		if _, err := w.Finish(root); err != nil {
			t.Fatal(err)
		}
		fsck(t, f)
	}
}

func TestLargestAttributes(t *testing.T) {
	w, f := newWriter(t)
	root := NewDir(0o755)
	root.Xattrs = map[string]string{"user.a": strings.Repeat("v", 65535), "user.b": strings.Repeat("v", 65535), "user.c": strings.Repeat("v", 65535), "user.d": strings.Repeat("v", 65000)}
	if full, err := w.Finish(root); !full || err != nil {
		t.Fatalf("full %v, %v", full, err)
	}
	fsck(t, f)
	root.Xattrs["user.e"] = strings.Repeat("v", 65535)
	if root.CheckXattrs() == nil {
		t.Error("more than 256 KiB of attributes were taken")
	}
}

func TestBadTrees(t *testing.T) {
	twice := NewDir(0o755)
	for name, root := range map[string]*Inode{
		"a file for the root":    {Mode: TypeRegular},
		"long name":              {Mode: TypeDir, Entries: map[string]*Inode{strings.Repeat("n", 256): {Mode: TypeFifo}}},
		"directory with 2 names": {Mode: TypeDir, Entries: map[string]*Inode{"a": twice, "b": twice}},
		"long target":            {Mode: TypeDir, Entries: map[string]*Inode{"a": {Mode: TypeSymlink, Target: strings.Repeat("t", 4096)}}},
	} {
		w, _ := newWriter(t)
		if _, err := w.Finish(root); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestDev(t *testing.T) {
	// Linux' own numbers: /dev/null is 1:3, an nvme disk 259:1, and minors
	// above 255 go above the major.
	for _, c := range []struct {
		major, minor int64
		want         uint32
	}{{1, 3, 0x103}, {259, 1, 0x10301}, {8, 0x12345, 0x12300845}, {4095, 1<<20 - 1, 0xffffffff}} {
		if got, err := Dev(c.major, c.minor); got != c.want || err != nil {
			t.Errorf("Dev(%d, %d) = %#x, %v, want %#x", c.major, c.minor, got, err, c.want)
		}
	}
	for _, c := range [][2]int64{{-1, 0}, {0, -1}, {4096, 0}, {0, 1 << 20}} {
		if _, err := Dev(c[0], c[1]); err == nil {
			t.Errorf("Dev(%d, %d) was taken", c[0], c[1])
		}
	}
}
