// Package tarcopy packs a path of a container into a tar, and unpacks one, as
// "docker cp" does. It runs inside the container (cis-pause beside gVisor, the
// agent's child in a VM), so that symlinks, volumes and permissions mean what they
// mean there, and nothing outside can be reached.
//
// It keeps type, mode, owner, time, links and device numbers; it does not keep
// extended attributes or sparseness, and it leaves sockets out.
package tarcopy

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
)

// ExitNotFound is the exit code of a helper program whose path does not exist.
const ExitNotFound = 3

// Pack writes a tar of name to w, its base name first. A symlink in the
// last place is packed as itself; one before it is followed.
func Pack(w io.Writer, name string) error {
	name = filepath.Clean(name)
	base := filepath.Base(name)
	if base == "/" {
		base = "."
	}
	p := packer{tar: tar.NewWriter(w), seen: map[inode]string{}}
	err := filepath.WalkDir(name, func(at string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(name, at)
		if err != nil {
			return err
		}
		return p.add(at, path.Join(base, below))
	})
	if err == nil {
		err = p.tar.Close()
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

type inode struct{ dev, ino uint64 }

type packer struct {
	tar *tar.Writer
	// seen finds the second name of a file, which becomes a hard link.
	seen map[inode]string
}

func (p *packer) add(at, name string) error {
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	header, err := p.header(at, name, info)
	if err != nil || header == nil {
		return err
	}
	if header.Typeflag != tar.TypeReg {
		return p.tar.WriteHeader(header)
	}
	file, err := os.OpenFile(at, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	// A file that grows meanwhile is cut at the size in the header; one that
	// shrinks makes the tar fail, which is the truth.
	_, err = io.CopyN(p.tar, file, header.Size)
	return err
}

// header is built by hand: the one of archive/tar looks names up in the
// container's /etc/passwd.
func (p *packer) header(at, name string, info fs.FileInfo) (*tar.Header, error) {
	stat := info.Sys().(*syscall.Stat_t)
	header := &tar.Header{
		Name: name, Mode: int64(stat.Mode & 0o7777), ModTime: info.ModTime(),
		Uid: int(stat.Uid), Gid: int(stat.Gid), Format: tar.FormatPAX,
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return header, nil
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(at)
		header.Typeflag, header.Linkname = tar.TypeSymlink, target
		return header, err
	case mode&fs.ModeSocket != 0:
		return nil, nil
	}
	if first, ok := p.seen[inode{uint64(stat.Dev), stat.Ino}]; ok {
		header.Typeflag, header.Linkname = tar.TypeLink, first
		return header, nil
	}
	if stat.Nlink > 1 {
		p.seen[inode{uint64(stat.Dev), stat.Ino}] = name
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeNamedPipe != 0:
		header.Typeflag = tar.TypeFifo
	case mode&fs.ModeDevice != 0:
		header.Typeflag = tar.TypeBlock
		if mode&fs.ModeCharDevice != 0 {
			header.Typeflag = tar.TypeChar
		}
		header.Devmajor, header.Devminor = major(uint64(stat.Rdev)), minor(uint64(stat.Rdev))
	default:
		header.Typeflag, header.Size = tar.TypeReg, info.Size()
	}
	return header, nil
}

// Linux's split of a device number (include/linux/kdev_t.h, user space form).
func major(dev uint64) int64 { return int64(dev>>8&0xfff | dev>>32&0xfffff000) }
func minor(dev uint64) int64 { return int64(dev&0xff | dev>>12&0xffffff00) }
func device(major, minor int64) int {
	return int(minor&0xff | (major&0xfff)<<8 | (minor&^0xff)<<12 | (major&^0xfff)<<32)
}
