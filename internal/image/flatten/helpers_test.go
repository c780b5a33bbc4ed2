package flatten

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	testLimits = Limits{Bytes: 1 << 30, Entries: 100_000}
	testTime   = time.Unix(1_600_000_000, 123_456_789)
)

// file is an archive entry with content; the zero type is a regular file.
type file struct {
	tar.Header
	body string
}

func reg(name, body string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, body}
}
func dir(name string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}
func link(name, to string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to, Mode: 0o644}, ""}
}
func symlink(name, to string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}, ""}
}

// archive makes a layer. Entries without a time get one, with nanoseconds.
func archive(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := f.Header
		h.Format = tar.FormatPAX
		h.Size = int64(len(f.body))
		if h.ModTime.IsZero() {
			h.ModTime = testTime
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if _, err := w.Write([]byte(f.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// flatten makes an image file of the layers.
func flatten(t testing.TB, layers ...[]byte) (string, *Result) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "rootfs.erofs")
	res, err := flattenTo(name, testLimits, layers...)
	if err != nil {
		t.Fatalf("flatten: %v", err)
	}
	return name, res
}

func flattenTo(name string, limits Limits, layers ...[]byte) (*Result, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fl := New(f, limits)
	for _, l := range layers {
		if _, err := fl.Layer(context.Background(), bytes.NewReader(l)); err != nil {
			return nil, err
		}
	}
	return fl.Finish()
}

// snapshotImage describes the file system at offset as the kernel shows it.
func snapshotImage(t testing.TB, image string, offset int64, xattrs bool) map[string]string {
	t.Helper()
	dir := t.TempDir()
	run(t, "mount", "-t", "erofs", "-o", fmt.Sprintf("loop,ro,offset=%d", offset), image, dir)
	defer run(t, "umount", "--lazy", dir)
	return snapshot(t, dir, xattrs)
}

// fsck runs fsck.erofs over the file system at offset.
func fsck(t testing.TB, image string, offset int64) {
	t.Helper()
	if offset != 0 {
		f, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		image = filepath.Join(t.TempDir(), "view")
		if err := os.WriteFile(image, f[offset:], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "fsck.erofs", "--extract", image)
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// unpack lets umoci unpack the layers and returns the root directory.
func unpack(t testing.TB, layers ...[]byte) (string, error) {
	t.Helper()
	top := t.TempDir()
	blobs := filepath.Join(top, "oci/blobs/sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(mediaType string, b []byte) map[string]any {
		sum := sha256.Sum256(b)
		name := hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(blobs, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"mediaType": mediaType, "digest": "sha256:" + name, "size": len(b)}
	}
	toJSON := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var ids []string
	var descs []any
	for _, l := range layers {
		d := put("application/vnd.oci.image.layer.v1.tar", l)
		descs = append(descs, d)
		ids = append(ids, d["digest"].(string))
	}
	config := put("application/vnd.oci.image.config.v1+json", toJSON(map[string]any{
		"os": "linux", "architecture": "amd64", "config": map[string]any{},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids}}))
	manifest := put("application/vnd.oci.image.manifest.v1+json", toJSON(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": descs}))
	manifest["annotations"] = map[string]string{"org.opencontainers.image.ref.name": "x"}
	for name, v := range map[string]any{
		"index.json": map[string]any{"schemaVersion": 2, "manifests": []any{manifest}},
		"oci-layout": map[string]string{"imageLayoutVersion": "1.0.0"},
	} {
		if err := os.WriteFile(filepath.Join(top, "oci", name), toJSON(v), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(top, "rootfs")
	out, err := exec.Command("umoci", "raw", "unpack", "--image", filepath.Join(top, "oci")+":x", root).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("umoci: %w\n%s", err, out)
	}
	return root, nil
}

// snapshot describes every file under root, in words that two unpackings of
// the same image must share.
func snapshot(t testing.TB, root string, xattrs bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	groups := map[uint64][]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, p)
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		s := fmt.Sprintf("mode=%o owner=%d:%d mtime=%d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			s += fmt.Sprintf(" size=%d sum=%x", st.Size, sha256.Sum256(b))
		case unix.S_IFLNK:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			s += " to=" + to
		case unix.S_IFCHR, unix.S_IFBLK:
			s += fmt.Sprintf(" dev=%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			s += fmt.Sprintf(" nlink=%d", st.Nlink)
			groups[st.Ino] = append(groups[st.Ino], name)
		}
		if xattrs {
			s += " xattrs=" + listXattrs(t, p)
		}
		out[name] = s
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range groups {
		sort.Strings(names)
		for _, n := range names {
			out[n] += " inode-of=" + names[0]
		}
	}
	return out
}

func listXattrs(t testing.TB, p string) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(p, buf)
	if err == syscall.ENOTSUP {
		return ""
	}
	if err != nil {
		t.Fatalf("list attributes of %s: %v", p, err)
	}
	names := strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
	sort.Strings(names)
	s := ""
	for _, name := range names {
		v := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(p, name, v)
		if err != nil {
			t.Fatalf("attribute %s of %s: %v", name, p, err)
		}
		s += fmt.Sprintf("[%s=%x]", name, v[:n])
	}
	return s
}

// unpackerTime matches the time of a directory that the reference unpacker set
// by working in it, as no layer says one.
var unpackerTime = regexp.MustCompile(`^mode=4\d* owner=\S+ (mtime=1[789]\S+)`)

var anyTime = regexp.MustCompile(`mtime=\S+`)

// same fails the test for every file that differs.
func same(t testing.TB, got, want map[string]string) {
	t.Helper()
	names := slices.Sorted(maps.Keys(want))
	for n := range got {
		if _, ok := want[n]; !ok {
			names = append(names, n)
		}
	}
	for _, n := range names {
		if m := unpackerTime.FindStringSubmatch(want[n]); m != nil {
			want[n] = strings.Replace(want[n], m[1], "mtime=any", 1)
			got[n] = anyTime.ReplaceAllString(got[n], "mtime=any")
		}
		if got[n] != want[n] {
			t.Errorf("%s:\n got %s\nwant %s", n, got[n], want[n])
		}
	}
}
