package tarcopy

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree makes one of everything below a new directory.
func tree(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "tree")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "sub/deep"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600))
	must(os.Link(filepath.Join(dir, "file"), filepath.Join(dir, "hard")))
	must(os.Symlink("file", filepath.Join(dir, "link")))
	must(os.Symlink("/nowhere", filepath.Join(dir, "sub/dangling")))
	must(syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o640))
	must(syscall.Mknod(filepath.Join(dir, "null"), syscall.S_IFCHR|0o666, device(1, 3)))
	must(syscall.Mknod(filepath.Join(dir, "block"), syscall.S_IFBLK|0o660, device(259, 70000)))
	must(os.WriteFile(filepath.Join(dir, "sub/tool"), []byte("#!"), 0o755))
	must(os.Chown(filepath.Join(dir, "sub/tool"), 12, 34))
	must(syscall.Chmod(filepath.Join(dir, "sub/tool"), 0o6755))
	must(syscall.Chmod(filepath.Join(dir, "sub"), 0o1770))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	must(unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(dir, "socket")}))
	unix.Close(socket)
	past := time.Unix(1e9, 123e6)
	must(os.Chtimes(filepath.Join(dir, "file"), past, past))
	must(os.Chtimes(filepath.Join(dir, "sub"), past, past))
	return dir
}

// describe lists what Pack promises to keep.
func describe(t *testing.T, dir string) string {
	var lines []string
	first := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var stat syscall.Stat_t
		if err := syscall.Lstat(path, &stat); err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if stat.Mode&syscall.S_IFMT == syscall.S_IFSOCK {
			return nil
		}
		target, _ := os.Readlink(path)
		content := ""
		if stat.Mode&syscall.S_IFMT == syscall.S_IFREG {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(data)
		}
		if first[stat.Ino] == "" {
			first[stat.Ino] = name
		}
		line := fmt.Sprintf("%s %o %d:%d rdev %d -> %q %q as %s", name, stat.Mode, stat.Uid, stat.Gid, stat.Rdev, target, content, first[stat.Ino])
		if name == "file" || name == "sub" {
			line += fmt.Sprint(" ", stat.Mtim)
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestRoundTrip(t *testing.T) {
	from, to := tree(t), t.TempDir()
	for range 2 { // the second time over what is there
		var archive bytes.Buffer
		if err := Pack(&archive, from+"/"); err != nil {
			t.Fatal(err)
		}
		if err := Unpack(to, &archive); err != nil {
			t.Fatal(err)
		}
		if got, want := describe(t, filepath.Join(to, "tree")), describe(t, from); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func names(t *testing.T, path string) string {
	var archive bytes.Buffer
	if err := Pack(&archive, path); err != nil {
		t.Fatal(err)
	}
	var all []string
	for r := tar.NewReader(&archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, h.Name)
	}
}

func TestPackNames(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "a"), 0o755)
	os.WriteFile(filepath.Join(dir, "a/f"), nil, 0o644)
	os.Symlink("a", filepath.Join(dir, "l"))
	for path, want := range map[string]string{"a": "a/ a/f", "a/f": "f", "l": "l", "l/f": "f"} {
		if got := names(t, filepath.Join(dir, path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if err := Pack(io.Discard, filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// archive makes a tar of headers; regular files get their name as content.
func archive(headers ...tar.Header) *bytes.Buffer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		w.WriteHeader(&h)
		if h.Typeflag == tar.TypeReg {
			io.WriteString(w, h.Name)
		}
	}
	w.Close()
	return &b
}

func TestUnpackRefuses(t *testing.T) {
	for _, test := range []struct {
		in   *bytes.Buffer
		want string
	}{
		{archive(tar.Header{Name: "../x", Typeflag: tar.TypeReg}), "leaves"},
		{archive(tar.Header{Name: "a/../../x", Typeflag: tar.TypeDir}), "leaves"},
		{archive(tar.Header{Name: "x", Linkname: "../../etc/passwd", Typeflag: tar.TypeLink}), "outside"},
		{archive(tar.Header{Name: "dir", Typeflag: tar.TypeReg}), "replace a directory"},
		{archive(tar.Header{Name: "file/", Typeflag: tar.TypeDir}), "by a directory"},
		{bytes.NewBufferString("no tar at all, but long enough to be read as one"), "unexpected EOF"},
	} {
		dir := filepath.Join(t.TempDir(), "to")
		os.MkdirAll(filepath.Join(dir, "dir"), 0o755)
		os.WriteFile(filepath.Join(dir, "file"), []byte("old"), 0o644)
		if err := Unpack(dir, test.in); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
		if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 {
			t.Error("something was written outside")
		}
	}
}

func TestUnpackPlaces(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "real"), 0o700)
	os.Symlink("real", filepath.Join(dir, "to"))
	os.WriteFile(filepath.Join(dir, "victim"), []byte("old"), 0o644)
	os.Symlink("../victim", filepath.Join(dir, "real/f"))
	// A symlink in the way is replaced, not followed; "." leaves the directory's
	// own mode alone; an absolute name is meant relative.
	in := archive(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o777}, tar.Header{Name: "f", Typeflag: tar.TypeReg}, tar.Header{Name: "/abs/g", Typeflag: tar.TypeReg})
	if err := Unpack(filepath.Join(dir, "to"), in); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"victim": "old", "real/f": "f", "real/abs/g": "/abs/g"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if info, _ := os.Stat(filepath.Join(dir, "real")); info.Mode().Perm() != 0o700 {
		t.Error(info.Mode())
	}
	if err := Unpack(filepath.Join(dir, "none"), archive()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := Unpack(filepath.Join(dir, "victim"), archive()); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
}

func TestDeviceNumbers(t *testing.T) {
	for _, n := range [][2]int64{{1, 3}, {259, 70000}, {4095, 255}, {5000, 1 << 19}} {
		dev := uint64(device(n[0], n[1]))
		if dev != unix.Mkdev(uint32(n[0]), uint32(n[1])) || major(dev) != n[0] || minor(dev) != n[1] {
			t.Errorf("%v: %x", n, dev)
		}
	}
}

// FuzzUnpack: no archive, however made, writes beside the directory.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(tar.Header{Name: "a/b", Typeflag: tar.TypeReg}, tar.Header{Name: "l", Linkname: "a", Typeflag: tar.TypeSymlink}).Bytes())
	f.Add(archive(tar.Header{Name: "h", Linkname: "x", Typeflag: tar.TypeLink}).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		// Symlinks are followed within a container; here they would lead out.
		if bytes.Contains(data, []byte{tar.TypeSymlink}) {
			return
		}
		outer := t.TempDir()
		dir := filepath.Join(outer, "to")
		os.Mkdir(dir, 0o755)
		Unpack(dir, bytes.NewReader(data))
		if entries, _ := os.ReadDir(outer); len(entries) != 1 {
			t.Error("something was written outside")
		}
	})
}
