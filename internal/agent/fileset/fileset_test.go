package fileset

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func set(pairs ...string) (files []File) {
	for i := 0; i < len(pairs); i += 2 {
		files = append(files, File{Path: pairs[i], Mode: 0o440, Data: []byte(pairs[i+1])})
	}
	return files
}

// shows lists what a reader sees, by the names at the top.
func shows(t *testing.T, dir string) string {
	t.Helper()
	var seen []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		top, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(top, func(at string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(at)
			info, _ := d.Info()
			seen = append(seen, fmt.Sprintf("%s%s=%s %o", e.Name(), strings.TrimPrefix(at, top), data, info.Mode()))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(seen, ", ")
}

func TestPublish(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []struct {
		files []File
		want  string
	}{
		{set("a", "1", "d/b", "2"), "a=1 440, d/b=2 440"},
		{set("a", "1", "d/b", "2"), "a=1 440, d/b=2 440"},
		{set("a", "3", "d/e/c", "4"), "a=3 440, d/e/c=4 440"},
		{set("a/x", "5"), "a/x=5 440"},
		{[]File{{Path: "a", Mode: 0o600, Data: []byte("6")}}, "a=6 600"},
		{nil, ""},
	} {
		if err := Publish(dir, step.files); err != nil {
			t.Fatal(err)
		}
		if got := shows(t, dir); got != step.want {
			t.Errorf("it shows %q, not %q", got, step.want)
		}
		if all, _ := filepath.Glob(filepath.Join(dir, "..2*")); len(all) != 1 {
			t.Errorf("the sets are %v", all)
		}
	}
}

func TestSameIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	var sets [2]string
	for i := range sets {
		if err := Publish(dir, set("a", "1")); err != nil {
			t.Fatal(err)
		}
		sets[i], _ = os.Readlink(filepath.Join(dir, dataLink))
	}
	if sets[0] == "" || sets[0] != sets[1] {
		t.Errorf("the sets are %q", sets)
	}
}

func TestWhatWasCutOff(t *testing.T) {
	dir := t.TempDir()
	if err := Publish(dir, set("a", "1")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "..2001/half"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..2001", filepath.Join(dir, nextLink)); err != nil {
		t.Fatal(err)
	}
	if got := shows(t, dir); got != "a=1 440" {
		t.Errorf("it shows %q", got)
	}
	if err := Publish(dir, set("b", "2")); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 || shows(t, dir) != "b=2 440" {
		t.Errorf("there are %v", entries)
	}
}

// A reader never sees files of two sets.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	publish := func(i int) {
		if err := Publish(dir, set("a", fmt.Sprint(i), "b", fmt.Sprint(i))); err != nil {
			t.Error(err)
		}
	}
	publish(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			publish(i)
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		at, err := filepath.EvalSymlinks(filepath.Join(dir, dataLink))
		if err != nil {
			continue
		}
		a, errA := os.ReadFile(filepath.Join(at, "a"))
		b, errB := os.ReadFile(filepath.Join(at, "b"))
		if errA == nil && errB == nil && !bytes.Equal(a, b) {
			t.Fatalf("%s beside %s", a, b)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../a", "..data", "/a", "a/../b", "a//b"} {
		dir := t.TempDir()
		if err := Publish(dir, []File{{Path: name}}); err == nil {
			t.Errorf("%q was accepted", name)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%q left %v", name, entries)
		}
	}
}
