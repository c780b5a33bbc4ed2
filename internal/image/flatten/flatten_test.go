package flatten

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// What GNU tar packs in any of its formats is what it unpacks itself.
func TestLikeGNUTar(t *testing.T) {
	src := t.TempDir()
	write := func(name, content string) {
		p := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "plain")
	write("empty", "")
	write(strings.Repeat("long-directory-name/", 12)+strings.Repeat("long-file-name", 15), "deep")
	write("not\xffutf8", "x")
	write("holes", "")
	if err := os.Truncate(filepath.Join(src, "holes"), 3<<20); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(src, "sparse"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // more pieces than one sparse header holds
		f.WriteAt([]byte(fmt.Sprintf("piece %d", i)), int64(i)*256<<10+123)
	}
	f.Truncate(12 << 20)
	f.Close()
	for _, op := range []error{
		os.Link(filepath.Join(src, "plain"), filepath.Join(src, "linked")),
		os.Symlink(strings.Repeat("far/", 60), filepath.Join(src, "symlink")),
		os.Lchown(filepath.Join(src, "empty"), 3_000_000, 4_000_000),
		os.Chmod(filepath.Join(src, "plain"), 0o755|os.ModeSetuid),
		unix.Setxattr(filepath.Join(src, "plain"), "user.test", []byte("value\x00with zero"), 0),
		unix.Mkfifo(filepath.Join(src, "fifo"), 0o600),
	} {
		if op != nil {
			t.Fatal(op)
		}
	}
	for _, format := range []string{"gnu", "oldgnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "pax --sparse-version=1.0"} {
		t.Run(format, func(t *testing.T) {
			layer, back := filepath.Join(t.TempDir(), "layer.tar"), t.TempDir()
			args := append([]string{"-cSf", layer, "-C", src}, strings.Fields("--format="+format)...)
			restore := []string{"-xpSf", layer, "-C", back, "--numeric-owner"}
			if strings.HasPrefix(format, "pax") {
				args, restore = append(args, "--xattrs"), append(restore, "--xattrs")
			}
			run(t, "tar", append(args, "--numeric-owner", ".")...)
			run(t, "tar", restore...)
			b, err := os.ReadFile(layer)
			if err != nil {
				t.Fatal(err)
			}
			image, res := flatten(t, b)
			fsck(t, image, 0)
			same(t, snapshotImage(t, image, res.FullOffset, true), snapshot(t, back, true))
			var st unix.Stat_t
			if err := unix.Stat(image, &st); err != nil || st.Blocks*512 > 1<<20 {
				t.Errorf("15 MiB of holes take %d bytes on disk, %v", st.Blocks*512, err)
			}
		})
	}
}

// The same layers give the same bytes, however they are compressed.
func TestDeterministic(t *testing.T) {
	layers := [][]byte{archive(t, append(manyEntries(300), xattr(reg("x", "x"), "user.a", "b"), xattr(reg("x", "x"), "user.b", "b"))...), archive(t, reg(".wh.x", ""), reg("many/.wh.1-n", ""))}
	want := sumOf(t, layers...)
	for range 3 {
		if got := sumOf(t, layers...); got != want {
			t.Fatal("two runs differ")
		}
	}
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(layers[0])
	w.Close()
	enc, _ := zstd.NewWriter(nil)
	if got := sumOf(t, gz.Bytes(), enc.EncodeAll(layers[1], nil)); got != want {
		t.Error("compression changes the image")
	}
}

func sumOf(t *testing.T, layers ...[]byte) [32]byte {
	t.Helper()
	name, _ := flatten(t, layers...)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// What a later layer deletes is not in the file any more.
func TestDeletedDataIsGone(t *testing.T) {
	secret := strings.Repeat("the secret key ", 100_000)
	name, _ := flatten(t, archive(t, reg("key", secret), reg("keep", "kept")), archive(t, reg(".wh.key", "")))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("the secret key")) {
		t.Error("the deleted file can be read in the image")
	}
	if !bytes.Contains(b, []byte("kept")) {
		t.Error("the other file is gone")
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil || st.Blocks*512 > 64<<10 {
		t.Errorf("the image takes %d bytes on disk, %v", st.Blocks*512, err)
	}
}

func TestAccountFiles(t *testing.T) {
	for name, c := range map[string]struct {
		files []file
		want  string
	}{
		"plain":            {[]file{reg("etc/passwd", "p"), reg("etc/group", "g")}, "p g"},
		"none":             {[]file{dir("etc")}, " "},
		"symlinks":         {[]file{symlink("etc", "/private/./x/../etc"), dir("private/x"), symlink("private/etc/passwd", "../../data/p"), symlink("private/etc/group", "/data/g"), reg("data/p", "p"), reg("data/g", "g")}, "p g"},
		"dangling":         {[]file{symlink("etc/passwd", "../none"), symlink("etc/group", "group")}, " "},
		"directory":        {[]file{dir("etc/passwd"), reg("etc/group", "g")}, " g"},
		"link to the root": {[]file{symlink("etc/passwd", "/"), symlink("etc/group", "..")}, " "},
		"out of the tree":  {[]file{symlink("etc/passwd", "/../../../../../../etc/passwd"), reg("etc/group", "g")}, " g"},
	} {
		t.Run(name, func(t *testing.T) {
			_, res := flatten(t, archive(t, c.files...))
			if got := fmt.Sprintf("%s %s", res.Passwd, res.Group); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	_, res := flatten(t, archive(t, reg("etc/passwd", strings.Repeat("x", accountFile+5))))
	if len(res.Passwd) != accountFile {
		t.Errorf("kept %d bytes", len(res.Passwd))
	}
}

// What the format has no place for is left out, not refused.
func TestDroppedAttributes(t *testing.T) {
	image, res := flatten(t, archive(t, xattr(xattr(xattr(reg("a", "x"), "trusted.overlay.redirect", "/etc"), "system.odd", "1"), "nonsense", "2")))
	if res.FullOffset != 0 {
		t.Error("an attribute was stored")
	}
	fsck(t, image, 0)
	acl := "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x04\x00\x04\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"
	image, res = flatten(t, archive(t, xattr(reg("a", "x"), "system.posix_acl_access", acl)))
	if res.FullOffset == 0 {
		t.Error("the ACL was not stored")
	}
	fsck(t, image, res.FullOffset)
}

func TestDiffID(t *testing.T) {
	layer := archive(t, reg("a", "x"))
	layer = append(layer, make([]byte, 10240)...) // padding after the end counts
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := New(f, testLimits).Layer(context.Background(), bytes.NewReader(layer))
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(layer)); got != want || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestGlobalHeader(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "a commit"}})
	w.Close()
	image, _ := flatten(t, b.Bytes())
	if got := snapshotImage(t, image, 0, false); len(got) != 1 {
		t.Errorf("the image holds %v", got)
	}
}

// A whiteout hides what lower layers have and nothing of its own layer, wherever
// in the archive it is (image specification, layer.md).
func TestWhiteoutOrder(t *testing.T) {
	lower := archive(t, reg("f", "old"), dir("d"), reg("d/old", "x"), dir("d/s"), reg("d/s/old", "x"), dir("gone"), reg("gone/x", "x"))
	own := []file{reg("f", "new"), reg("d/new", "x"), reg("d/s/new", "x")}
	marks := []file{reg(".wh.f", ""), reg(".wh.d", ""), reg(".wh.gone", ""), reg(".wh..wh.plnk", ""), reg("d/.wh..wh.aufs/x", "")}
	for _, upper := range [][]file{append(slices.Clone(marks), own...), append(slices.Clone(own), marks...)} {
		image, _ := flatten(t, lower, archive(t, upper...))
		got := slices.Sorted(maps.Keys(snapshotImage(t, image, 0, false)))
		if want := []string{".", "d", "d/new", "d/s", "d/s/new", "f"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Directories that no entry lists are made alike everywhere.
func TestMissingParents(t *testing.T) {
	image, _ := flatten(t, archive(t, reg("a/b/c", "x")))
	got := snapshotImage(t, image, 0, false)
	for _, name := range []string{".", "a", "a/b"} {
		if want := "mode=40755 owner=0:0 mtime=0.000000000"; got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}
