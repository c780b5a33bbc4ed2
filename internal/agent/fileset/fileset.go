// Package fileset keeps the files of a volume, which change all at once: who reads them
// sees the set before a change or the one after it, and never some of each.
//
// It does so as a kubelet does (k8s.io/kubernetes pkg/volume/util/atomic_writer.go), so
// that programs made for that find what they watch: the files are in a directory of the
// set, the symlink "..data" leads there and is replaced by a rename, and what is at the
// top of the volume are symlinks through "..data".
//
// It runs where the volume is: in the agent in a VM, in cis-pause in a gVisor sandbox.
package fileset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// File of a volume.
type File struct {
	// Path is relative, clean, and does not begin with "..".
	Path string
	// Mode is the permission bits.
	Mode uint32
	// Group owns the file; its user is root.
	Group uint32
	Data  []byte
}

// VolumeSize is the most memory that a volume's files may take, in bytes: those of the set
// and those of the next one, each in pages.
const VolumeSize = 16 << 20

const (
	dataLink = "..data"
	nextLink = "..data_tmp"
)

// Publish makes the files all that the directory shows. It does nothing where they are
// that already. After an error the directory shows what it did before, or the files, and
// the next Publish clears up.
func Publish(dir string, files []File) error {
	if err := publish(dir, files); err != nil {
		return fmt.Errorf("publish files in %s: %w", dir, err)
	}
	return nil
}

func publish(dir string, files []File) error {
	if err := check(files); err != nil {
		return err
	}
	current, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if current == "" || !holds(filepath.Join(dir, current), files) {
		if current, err = change(dir, files); err != nil {
			return err
		}
	}
	return tidy(dir, current, tops(files))
}

// check keeps paths inside, and away from our own names.
func check(files []File) error {
	for _, f := range files {
		if !filepath.IsLocal(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "." || strings.HasPrefix(f.Path, "..") {
			return fmt.Errorf("%q cannot be the path of a file", f.Path)
		}
	}
	return nil
}

// change writes a new set and leads to it.
func change(dir string, files []File) (set string, err error) {
	at, err := os.MkdirTemp(dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return "", err
	}
	set = filepath.Base(at)
	if err := os.Chmod(at, 0o755); err != nil {
		return "", err
	}
	for _, f := range files {
		if err := write(filepath.Join(at, f.Path), f); err != nil {
			return "", err
		}
	}
	next := filepath.Join(dir, nextLink)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Symlink(set, next); err != nil {
		return "", err
	}
	return set, os.Rename(next, filepath.Join(dir, dataLink))
}

func write(at string, f File) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(at, f.Data, 0o600); err != nil {
		return err
	}
	if err := os.Chown(at, 0, int(f.Group)); err != nil {
		return err
	}
	return os.Chmod(at, fs.FileMode(f.Mode)&fs.ModePerm)
}

// tops are the names at the top of the volume.
func tops(files []File) map[string]bool {
	names := map[string]bool{}
	for _, f := range files {
		top, _, _ := strings.Cut(f.Path, "/")
		names[top] = true
	}
	return names
}

// tidy shows the names of the current set, and removes all others and older sets.
func tidy(dir, current string, names map[string]bool) error {
	for name := range names {
		err := os.Symlink(path.Join(dataLink, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); name == dataLink || name == current || names[name] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// holds tells whether a set is these files.
func holds(set string, files []File) bool {
	want := map[string]File{}
	for _, f := range files {
		want[f.Path] = f
	}
	err := filepath.WalkDir(set, func(at string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(set, at)
		if err != nil {
			return err
		}
		f, ok := want[name]
		delete(want, name)
		if !ok || !same(at, e, f) {
			return errDiffers
		}
		return nil
	})
	return err == nil && len(want) == 0
}

var errDiffers = errors.New("the set differs")

func same(at string, e fs.DirEntry, f File) bool {
	info, err := e.Info()
	if err != nil || info.Mode() != fs.FileMode(f.Mode)&fs.ModePerm || info.Size() != int64(len(f.Data)) ||
		info.Sys().(*syscall.Stat_t).Gid != f.Group {
		return false
	}
	data, err := os.ReadFile(at)
	return err == nil && string(data) == string(f.Data)
}
