package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	goerofs "github.com/erofs/go-erofs"

	"cis/internal/agent/fileset"
)

func TestFilesOfAGroup(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "volume"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := writeVolume(out, []fileset.File{{Path: "sub/key", Mode: 0o400, Data: []byte("x")}, {Path: "open", Mode: 0o604}}, new(uint32(2000))); err != nil {
		t.Fatal(err)
	}
	volume, err := goerofs.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"sub": 0o755, "sub/key": 0o440, "open": 0o644} {
		info, err := fs.Stat(volume, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*goerofs.Stat); info.Mode().Perm() != want || got.GID != 2000 || got.UID != 0 {
			t.Errorf("%s: mode %v, %+v", name, info.Mode(), got)
		}
	}
}
