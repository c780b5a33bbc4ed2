package cli

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// packTree writes a local file or directory as a tar whose root is called name.
// Links are kept as links; owners are not kept: inside, root owns the copy.
// Sockets cannot be copied and are left out.
func packTree(w io.Writer, local, name string) error {
	tw := tar.NewWriter(w)
	err := filepath.WalkDir(local, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(local, file)
		if err != nil {
			return err
		}
		info, err := os.Lstat(file)
		if file == local && name == "." {
			info, err = os.Stat(file)
		}
		if err != nil || info.Mode()&fs.ModeSocket != 0 {
			return err
		}
		return packFile(tw, file, path.Join(name, filepath.ToSlash(rel)), info)
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

func packFile(tw *tar.Writer, file, name string, info fs.FileInfo) error {
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		var err error
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = name
	if info.IsDir() {
		h.Name += "/"
	}
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	h.Format = tar.FormatPAX
	if err := tw.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	// A file that grows meanwhile is copied as it was, one that shrinks is an error.
	if _, err := io.CopyN(tw, f, info.Size()); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

// rootName is the first entry's name as later entries begin with it; "." where
// they do not.
func rootName(first string) string {
	return path.Clean(strings.TrimPrefix(first, "/"))
}

// extractor unpacks a tar from an instance. What comes from there is not
// trusted: nothing is written outside root, not even through links.
type extractor struct {
	root *os.Root
	// base is the name of the tar's root, name the one it gets here.
	base, name string
	warn       io.Writer
	dirs       []dirMeta
}

// dirMeta is set last, so that a read-only directory can be filled.
type dirMeta struct {
	name  string
	mode  fs.FileMode
	mtime time.Time
}

func (x *extractor) extract(r *tar.Reader, h *tar.Header) error {
	var err error
	for ; err == nil; h, err = r.Next() {
		name, ok := x.local(h.Name)
		if !ok {
			return fmt.Errorf("the instance sent %q, which is outside of what was asked for", h.Name)
		}
		if err := x.entry(r, h, name); err != nil {
			return err
		}
	}
	if err != io.EOF {
		return err
	}
	for i := len(x.dirs) - 1; i >= 0; i-- {
		d := x.dirs[i]
		if err := x.root.Chmod(d.name, d.mode); err != nil {
			return err
		}
		if err := x.root.Chtimes(d.name, d.mtime, d.mtime); err != nil {
			return err
		}
	}
	return nil
}

// local gives an entry's name below root.
func (x *extractor) local(name string) (string, bool) {
	rel := rootName(name)
	if x.base != "." {
		switch below, ok := strings.CutPrefix(rel, x.base+"/"); {
		case rel == x.base:
			rel = "."
		case ok:
			rel = below
		default:
			return "", false
		}
	}
	local := path.Join(x.name, rel)
	return local, filepath.IsLocal(rel) && filepath.IsLocal(local)
}

func (x *extractor) entry(r *tar.Reader, h *tar.Header, name string) error {
	mode := h.FileInfo().Mode()
	switch h.Typeflag {
	case tar.TypeDir:
		return x.dir(h, name, mode.Perm())
	case tar.TypeReg:
		return x.file(r, h, name, mode.Perm())
	case tar.TypeSymlink:
		if err := x.clear(name); err != nil {
			return err
		}
		return x.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		target, ok := x.local(h.Linkname)
		if !ok {
			return fmt.Errorf("the instance sent a link to %q, which is outside of what was asked for", h.Linkname)
		}
		if err := x.clear(name); err != nil {
			return err
		}
		return x.root.Link(target, name)
	}
	fmt.Fprintf(x.warn, "cis: %s is neither file, directory nor link, and was left out\n", clean(h.Name))
	return nil
}

// dir makes a directory, or takes the one that is there; the target itself may
// be reached through a link, as cp would.
func (x *extractor) dir(h *tar.Header, name string, perm fs.FileMode) error {
	if info, err := x.root.Lstat(name); err == nil && info.IsDir() {
		if name == "." {
			return nil // it was there before, and stays as it was
		}
	} else if err := x.clear(name); err != nil {
		return err
	} else if err := x.root.Mkdir(name, 0o700); err != nil {
		return err
	}
	x.dirs = append(x.dirs, dirMeta{name, perm, h.ModTime})
	return nil
}

func (x *extractor) file(r io.Reader, h *tar.Header, name string, perm fs.FileMode) error {
	if err := x.clear(name); err != nil {
		return err
	}
	f, err := x.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm&0o700|0o200)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Chmod(perm)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return x.root.Chtimes(name, h.ModTime, h.ModTime)
}

// clear takes away what is in the way of an entry; a directory with files in it
// stays, and is the error of what follows.
func (x *extractor) clear(name string) error {
	if info, err := x.root.Lstat(name); err != nil || info.IsDir() {
		return nil
	}
	return x.root.Remove(name)
}
