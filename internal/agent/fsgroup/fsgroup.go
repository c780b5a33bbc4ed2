// Package fsgroup gives the files of a volume to a group, as Kubernetes' fsGroup does
// (kubernetes/pkg/volume/volume_linux.go): the group owns them, may read and write them
// and enter directories, and what is made in a directory is the group's too.
//
// No program may use the volume meanwhile.
package fsgroup

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The permission bits that are added to those of files and of directories.
const (
	fileBits = 0o660
	dirBits  = fileBits | 0o110 | unix.S_ISGID
)

// Apply gives all below a directory to a group, unless the directory is the group's
// already and always is not set: it comes last, so what a crash cut off is done again.
func Apply(dir string, group uint32, always bool) error {
	var root unix.Stat_t
	if err := unix.Stat(dir, &root); err != nil {
		return fmt.Errorf("give %s to group %d: %w", dir, group, err)
	}
	if !always && root.Gid == group && root.Mode&dirBits == dirBits {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return give(path, group, entry.Type())
	})
	if err == nil {
		err = give(dir, group, fs.ModeDir)
	}
	if err != nil {
		return fmt.Errorf("give %s to group %d: %w", dir, group, err)
	}
	return nil
}

// give leaves the modes of symlinks and of what is neither file nor directory.
func give(path string, group uint32, kind fs.FileMode) error {
	if err := os.Lchown(path, -1, int(group)); err != nil {
		return err
	}
	bits := uint32(fileBits)
	switch {
	case kind.IsDir():
		bits = dirBits
	case !kind.IsRegular():
		return nil
	}
	var info unix.Stat_t
	if err := unix.Lstat(path, &info); err != nil {
		return err
	}
	return unix.Chmod(path, info.Mode&0o7777|bits)
}
