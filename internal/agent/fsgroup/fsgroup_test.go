package fsgroup

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestApply(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	for _, err := range []error{
		os.WriteFile(outside, nil, 0o600),
		os.Mkdir(filepath.Join(dir, "sub"), 0o700),
		os.WriteFile(filepath.Join(dir, "sub", "key"), nil, 0o600),
		os.Symlink(outside, filepath.Join(dir, "link")),
		Apply(dir, 2000, false),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(path string, mode, group uint32) {
		t.Helper()
		var info unix.Stat_t
		if err := unix.Lstat(path, &info); err != nil {
			t.Fatal(err)
		}
		if info.Gid != group || info.Mode&0o7777 != mode {
			t.Errorf("%s: group %d, mode %o; want %d, %o", path, info.Gid, info.Mode&0o7777, group, mode)
		}
	}
	expect(dir, 0o2775, 2000)
	expect(filepath.Join(dir, "sub"), 0o2770, 2000)
	expect(filepath.Join(dir, "sub", "key"), 0o660, 2000)
	expect(filepath.Join(dir, "link"), 0o777, 2000)
	expect(outside, 0o600, uint32(os.Getgid()))

	// What is the group's already is not gone through again, unless that is asked for.
	if err := os.Chmod(filepath.Join(dir, "sub", "key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Apply(dir, 2000, false); err != nil {
		t.Fatal(err)
	}
	expect(filepath.Join(dir, "sub", "key"), 0o600, 2000)
	if err := Apply(dir, 2000, true); err != nil {
		t.Fatal(err)
	}
	expect(filepath.Join(dir, "sub", "key"), 0o660, 2000)
	if err := Apply(filepath.Join(dir, "none"), 1, false); err == nil {
		t.Error("a directory that is not there was given away")
	}
}
