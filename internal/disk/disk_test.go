package disk

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"cis/api"
)

const size = 16 * api.MiB

func newStore(t *testing.T) *Store {
	s, err := Open(filepath.Join(t.TempDir(), "disks"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Store) made(t *testing.T, id string) {
	t.Helper()
	if err := s.Create(t.Context(), id, size); err != nil {
		t.Fatal(err)
	}
}

// filesystem is the size that a file's ext4 superblock tells.
func (s *Store) filesystem(t *testing.T, id string) api.Bytes {
	t.Helper()
	length, err := filesystem(s.Path(id))
	if err != nil {
		t.Fatal(err)
	}
	return length
}

func (s *Store) info(t *testing.T, id string) (length, room api.Bytes) {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(s.Path(id), &stat); err != nil {
		t.Fatal(err)
	}
	return api.Bytes(stat.Size), api.Bytes(stat.Blocks * 512)
}

func code(t *testing.T, want api.Code, err error) {
	t.Helper()
	if api.CodeOf(err) != want {
		t.Errorf("error is %v, not %s", err, want)
	}
}

func TestCreate(t *testing.T) {
	s := newStore(t)
	s.made(t, "one")
	if length, room := s.info(t, "one"); length != size || room < size || s.filesystem(t, "one") != size-tail {
		t.Errorf("%d bytes, %d set aside, a file system of %d", length, room, s.filesystem(t, "one"))
	}
	if s.Create(t.Context(), "one", size) == nil {
		t.Error("made twice")
	}
	code(t, api.Exhausted, s.Create(t.Context(), "big", 1<<60))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.Create(ctx, "cancelled", size) == nil {
		t.Error("made though cancelled")
	}
	if removed, err := s.Sweep(func(id string) bool { return id == "one" }); err != nil || len(removed) > 0 {
		t.Errorf("left behind: %v %v", removed, err)
	}
}

func TestGrow(t *testing.T) {
	s := newStore(t)
	s.made(t, "hosts")
	s.made(t, "guests")
	for id, hosts := range map[string]bool{"hosts": true, "guests": false} {
		if err := s.Grow(t.Context(), id, 2*size, hosts); err != nil {
			t.Fatal(err)
		}
		want := map[bool]api.Bytes{true: 2 * size, false: size}[hosts]
		if length, room := s.info(t, id); length != 2*size || room < 2*size || s.filesystem(t, id) != want-tail {
			t.Errorf("%s: %d bytes, %d set aside, a file system of %d", id, length, room, s.filesystem(t, id))
		}
		code(t, api.Exhausted, s.Grow(t.Context(), id, 1<<60, hosts))
		if length, _ := s.info(t, id); length != 2*size {
			t.Errorf("%s: %d bytes after a growth that failed", id, length)
		}
	}
}

// TestSettle: a growth that was cut off ends well, and a VMM cannot take room.
func TestSettle(t *testing.T) {
	s := newStore(t)
	for _, test := range []struct {
		id    string
		hosts bool
		want  api.Bytes
	}{{"hosts", true, 2 * size}, {"guests", false, size}} {
		s.made(t, test.id)
		if err := os.Truncate(s.Path(test.id), int64(2*size)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Settle(t.Context(), test.id, size, test.hosts)
		length, _ := s.info(t, test.id)
		if err != nil || got != test.want || length != test.want || s.filesystem(t, test.id) != test.want-tail {
			t.Errorf("%s: %d %d %d %v", test.id, got, length, s.filesystem(t, test.id), err)
		}
	}
	// A kill between resize2fs, which cuts a file off behind the file system, and its end.
	s.made(t, "cut")
	if err := s.Grow(t.Context(), "cut", 2*size, true); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.Path("cut"), int64(2*size-tail)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Settle(t.Context(), "cut", size, true)
	if length, _ := s.info(t, "cut"); err != nil || got != 2*size || length != 2*size || s.filesystem(t, "cut") != 2*size-tail {
		t.Errorf("cut: %d %d %d %v", got, length, s.filesystem(t, "cut"), err)
	}
	if _, err := s.Settle(t.Context(), "none", size, true); err == nil {
		t.Error("settled what is not there")
	}
}

func TestSnapshot(t *testing.T) {
	s := newStore(t)
	s.made(t, "disk")
	before := mark(t, s.Path("disk"), "before")
	if err := s.Snapshot(t.Context(), "disk", "snap"); err != nil {
		t.Fatal(err)
	}
	mark(t, s.Path("disk"), "after")
	if err := s.Restore(t.Context(), "snap", "copy"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"snap", "copy"} {
		if data, err := os.ReadFile(s.Path(id)); err != nil || !bytes.Equal(data, before) {
			t.Errorf("%s is not what the disk was: %v", id, err)
		}
	}
	if _, room := s.info(t, "copy"); room < size {
		t.Errorf("a disk of a snapshot has %d bytes set aside", room)
	}
	if s.Restore(t.Context(), "none", "other") == nil {
		t.Error("restored what is not there")
	}
}

// mark writes a word near the end, and returns the content.
func mark(t *testing.T, path, word string) []byte {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt([]byte(word), int64(size)-4096); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOneUser(t *testing.T) {
	s := newStore(t)
	s.made(t, "disk")
	file, err := Lock(s.Path("disk"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Lock(s.Path("disk"))
	code(t, api.Conflict, err)
	code(t, api.Conflict, s.Remove("disk"))
	code(t, api.Conflict, s.Snapshot(t.Context(), "disk", "snap"))
	code(t, api.Conflict, s.Grow(t.Context(), "disk", 2*size, true))
	file.Close()
	if err := s.Remove("disk"); err != nil {
		t.Error(err)
	}
	if err := s.Remove("disk"); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

func TestSweep(t *testing.T) {
	s := newStore(t)
	for _, id := range []string{"a", "b", "c"} {
		if err := os.WriteFile(s.Path(id), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := s.Sweep(func(id string) bool { return id == "b" })
	if err != nil || !slices.Equal(removed, []string{"a", "c"}) {
		t.Errorf("%v %v", removed, err)
	}
}
