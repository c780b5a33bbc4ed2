package tarcopy

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Unpack writes the entries of a tar below the existing directory dir, which may
// be reached through symlinks. Entries whose names leave dir are refused. What
// is there already is replaced, but a directory never by something else nor the
// other way round.
func Unpack(dir string, r io.Reader) error {
	if err := unpack(dir, r); err != nil {
		return fmt.Errorf("unpack into %s: %w", dir, err)
	}
	return nil
}

func unpack(dir string, r io.Reader) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(root); err != nil {
		return err
	} else if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	var dirs []*tar.Header
	entries := tar.NewReader(r)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return finish(root, dirs)
		}
		if err != nil {
			return err
		}
		if err := checkName(header); err != nil {
			return err
		}
		if err := place(root, header, entries); err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
		if header.Typeflag == tar.TypeDir {
			dirs = append(dirs, header)
		}
	}
}

func checkName(header *tar.Header) error {
	if !filepath.IsLocal(strings.TrimLeft(header.Name, "/")) {
		return fmt.Errorf("entry %q leaves the directory", header.Name)
	}
	if header.Typeflag == tar.TypeLink && !filepath.IsLocal(strings.TrimLeft(header.Linkname, "/")) {
		return fmt.Errorf("entry %q links to %q outside of the directory", header.Name, header.Linkname)
	}
	return nil
}

func place(root string, header *tar.Header, content io.Reader) error {
	at := filepath.Join(root, header.Name)
	if header.Typeflag != tar.TypeDir {
		if err := makeWay(at); err != nil {
			return err
		}
	}
	mode := fs.FileMode(header.Mode & 0o777)
	switch header.Typeflag {
	case tar.TypeDir:
		// Its mode and time wait until its content is there.
		return makeDir(at)
	case tar.TypeReg:
		if err := writeFile(at, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := os.Symlink(header.Linkname, at); err != nil {
			return err
		}
	case tar.TypeLink:
		return os.Link(filepath.Join(root, header.Linkname), at)
	case tar.TypeFifo:
		if err := syscall.Mkfifo(at, uint32(mode)); err != nil {
			return err
		}
	case tar.TypeChar:
		return mknod(at, syscall.S_IFCHR, header)
	case tar.TypeBlock:
		return mknod(at, syscall.S_IFBLK, header)
	default:
		return nil
	}
	return attributes(at, header)
}

// makeWay removes what a non-directory entry replaces, and makes its parents.
func makeWay(at string) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return errors.New("cannot replace a directory by something else")
	}
	return os.Remove(at)
}

func makeDir(at string) error {
	err := os.MkdirAll(at, 0o755)
	if errors.Is(err, syscall.ENOTDIR) {
		return errors.New("cannot replace something else by a directory")
	}
	return err
}

func writeFile(at string, content io.Reader) error {
	file, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func mknod(at string, kind uint32, header *tar.Header) error {
	if err := syscall.Mknod(at, kind|uint32(header.Mode&0o777), device(header.Devmajor, header.Devminor)); err != nil {
		return err
	}
	return attributes(at, header)
}

// attributes sets owner, mode (after the owner, which drops set-user-ID) and time.
func attributes(at string, header *tar.Header) error {
	if err := os.Lchown(at, header.Uid, header.Gid); err != nil {
		return err
	}
	if header.Typeflag == tar.TypeSymlink {
		return nil
	}
	if err := syscall.Chmod(at, uint32(header.Mode&0o7777)); err != nil {
		return err
	}
	return os.Chtimes(at, time.Time{}, header.ModTime)
}

// finish gives directories their attributes, the deepest first. The root itself
// (entry ".") keeps its own.
func finish(root string, dirs []*tar.Header) error {
	for i := len(dirs) - 1; i >= 0; i-- {
		at := filepath.Join(root, dirs[i].Name)
		if at == root {
			continue
		}
		if err := attributes(at, dirs[i]); err != nil {
			return err
		}
	}
	return nil
}
