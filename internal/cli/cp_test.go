package cli

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParsePlace(t *testing.T) {
	for _, tt := range []struct {
		arg  string
		want place
	}{
		{"web:/etc/x", place{instance: "web", path: "/etc/x"}},
		{"web:etc/x", place{instance: "web", path: "/etc/x"}},
		{"web:/a/b/", place{instance: "web", path: "/a/b", dir: true}},
		{"web:/a/.", place{instance: "web", path: "/a", dir: true, contents: true}},
		{"web:/", place{instance: "web", path: "/", dir: true}},
		{"./a:b", place{path: "a:b"}},
		{"/tmp/a:b", place{path: "/tmp/a:b"}},
		{"file.txt", place{path: "file.txt"}},
		{".", place{path: ".", dir: true, contents: true}},
		{"-", place{path: "-"}},
	} {
		got, err := parsePlace(tt.arg)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v; want %+v", tt.arg, got, err, tt.want)
		}
	}
	for _, arg := range []string{"", "web:"} {
		if _, err := parsePlace(arg); err == nil {
			t.Errorf("%q was taken", arg)
		}
	}
}

// tarOf makes a tar of headers; regular files hold their own name.
func tarOf(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(h.Name))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, h.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func extractTo(t *testing.T, dir, name string, archive io.Reader) error {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	r := tar.NewReader(archive)
	first, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	x := extractor{root: root, base: rootName(first.Name), name: name, warn: io.Discard}
	return x.extract(r, first)
}

// TestHostileTar: an instance's tar writes nothing outside the target.
func TestHostileTar(t *testing.T) {
	dirEntry := tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}
	for name, headers := range map[string][]tar.Header{
		"dot dot":              {dirEntry, {Name: "d/../../evil"}},
		"absolute":             {dirEntry, {Name: "/evil"}},
		"another root":         {dirEntry, {Name: "evil"}},
		"root is dot dot":      {{Name: "../", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "../evil"}},
		"through a link":       {dirEntry, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "../.."}, {Name: "d/l/evil"}},
		"through an abs link":  {dirEntry, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "OUTSIDE"}, {Name: "d/l/evil"}},
		"hard link out":        {dirEntry, {Name: "d/h", Typeflag: tar.TypeLink, Linkname: "d/../../secret"}},
		"hard link by symlink": {dirEntry, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "OUTSIDE"}, {Name: "d/h", Typeflag: tar.TypeLink, Linkname: "d/l/secret"}},
		"dir through a link":   {dirEntry, {Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "OUTSIDE"}, {Name: "d/l/sub/", Typeflag: tar.TypeDir}},
	} {
		t.Run(name, func(t *testing.T) {
			outside := t.TempDir()
			target := filepath.Join(outside, "in", "target")
			if err := os.MkdirAll(target, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
				t.Fatal(err)
			}
			for i := range headers {
				headers[i].Linkname = strings.ReplaceAll(headers[i].Linkname, "OUTSIDE", outside)
			}
			err := extractTo(t, target, "copy", tarOf(t, headers...))
			if err == nil && name != "root is dot dot" { // there the root only gets another name
				t.Error("it was taken without an error")
			}
			for _, dir := range []string{outside, filepath.Join(outside, "in")} {
				for _, entry := range []string{"evil", "sub"} {
					if _, err := os.Lstat(filepath.Join(dir, entry)); err == nil {
						t.Errorf("%s was written in %s", entry, dir)
					}
				}
			}
			if info, err := os.Stat(filepath.Join(outside, "secret")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file outside changed: %v %v", info, err)
			}
		})
	}
}

// TestPackAndExtract: a tree survives the way there and back.
func TestPackAndExtract(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("tree/a", "alpha", 0o600)
	write("tree/sub/run.sh", "#!", 0o755)
	write("tree/empty", "", 0o644)
	if err := os.Symlink("a", filepath.Join(src, "tree/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(src, "tree/ro"), 0o555); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := packTree(&b, filepath.Join(src, "tree"), "renamed"); err != nil {
		t.Fatal(err)
	}
	if err := extractTo(t, dst, "again", &b); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"a": 0o600, "sub/run.sh": 0o755, "empty": 0o644, "ro": os.ModeDir | 0o555} {
		there, err := os.Stat(filepath.Join(dst, "again", name))
		if err != nil {
			t.Error(err)
			continue
		}
		here, _ := os.Stat(filepath.Join(src, "tree", name))
		if there.Mode() != want || there.Size() != here.Size() && !here.IsDir() || !there.ModTime().Equal(here.ModTime()) {
			t.Errorf("%s is %v %d %v, was %v %d %v", name, there.Mode(), there.Size(), there.ModTime(), here.Mode(), here.Size(), here.ModTime())
		}
	}
	if link, err := os.Readlink(filepath.Join(dst, "again/link")); err != nil || link != "a" {
		t.Errorf("link is %q, %v", link, err)
	}
}
