package subpath

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// newVolume has a file, a directory and symlinks in it; what is outside lies beside it.
func newVolume(t testing.TB) (dir string) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "volume")
	for _, name := range []string{"volume/a/b", "outside"} {
		if err := os.MkdirAll(filepath.Join(top, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"volume/a/file", "outside/secret"} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"in": "a/b/../file", "dir": "./a", "twice": "dir/b", "up": "../outside", "abs": "/etc", "deep": "a/../../outside/secret", "loop": "loop", "gone": "a/new",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// placeOf tells where a descriptor is.
func placeOf(t testing.TB, fd int) string {
	t.Helper()
	at, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestOpen(t *testing.T) {
	for _, test := range []struct{ path, want, wrong string }{
		{"a/file", "a/file", ""}, {"a//b/.", "a/b", ""}, {"in", "a/file", ""}, {"twice", "a/b", ""}, {"dir/../a", "a", ""},
		{"new/er/est", "new/er/est", ""}, {"gone", "a/new", ""},
		{"up", "", "leads out"}, {"up/secret", "", "leads out"}, {"abs/passwd", "", "leads out"}, {"/etc", "", "leads out"}, {"..", "", "leads out"},
		{"deep", "", "leads out"}, {"loop", "", "too many"}, {"a/file/x", "", "not a directory"},
	} {
		dir := newVolume(t)
		fd, err := Open(dir, test.path)
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: %v, want one with %q", test.path, err, test.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.path, err)
			continue
		}
		if at := placeOf(t, fd); at != filepath.Join(dir, test.want) {
			t.Errorf("%s is %s", test.path, at)
		}
		unix.Close(fd)
	}
}

func TestMadeDirectoriesAreLikeTheVolume(t *testing.T) {
	dir := newVolume(t)
	if err := os.Chmod(dir, os.ModeSetgid|0o777); err != nil {
		t.Fatal(err)
	}
	fd, err := Open(dir, "x/y")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil || info.Mode&0o7777 != 0o2777 {
		t.Errorf("%o %v", info.Mode, err)
	}
}

// TestNoRaceLeadsOut: somebody replaces a directory on the way by a symlink, over and
// over.
func TestNoRaceLeadsOut(t *testing.T) {
	dir := newVolume(t)
	done := make(chan struct{})
	var changer sync.WaitGroup
	changer.Go(func() {
		for at := filepath.Join(dir, "x"); ; {
			select {
			case <-done:
				return
			default:
			}
			os.Symlink("../outside", at)
			os.Remove(at)
			os.Mkdir(at, 0o755)
			os.RemoveAll(at)
		}
	})
	for range 2000 {
		fd, err := Open(dir, "x/secret")
		if err != nil {
			continue
		}
		if at := placeOf(t, fd); !strings.HasPrefix(at, dir+"/") {
			t.Errorf("it led to %s", at)
		}
		unix.Close(fd)
	}
	close(done)
	changer.Wait()
}
