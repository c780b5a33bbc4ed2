package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestGone(t *testing.T) { testGone(t) }

// TestGoneOfMany: there are more agents than watches.
func TestGoneOfMany(t *testing.T) {
	for {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	testGone(t)
}

func testGone(t *testing.T) {
	t.Helper()
	for name, remove := range map[string]func(dir, path string) error{
		"file":      func(_, path string) error { return os.Remove(path) },
		"directory": func(dir, _ string) error { return os.RemoveAll(dir) },
		"moved":     func(dir, _ string) error { return os.Rename(dir, dir+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			path := filepath.Join(dir, "agent.sock")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, p := range []string{path, filepath.Join(dir, "other")} {
				if err := os.WriteFile(p, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			removed, err := gone(path)
			if err != nil {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(dir, "other"))
			select {
			case <-removed:
				t.Fatal("gone while it is there")
			case <-time.After(20 * time.Millisecond):
			}
			if err := remove(dir, path); err != nil {
				t.Fatal(err)
			}
			select {
			case <-removed:
			case <-time.After(time.Minute):
				t.Fatal("its removal was not seen")
			}
		})
	}
}
