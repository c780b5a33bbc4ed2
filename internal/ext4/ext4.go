// Package ext4 takes the file systems of disks that outlive their users into use. It is
// called where the file system is mounted: in a microVM, or beside a gVisor sandbox.
//
// It never decides whose kernel may mount what, and makes no file systems.
package ext4

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mount mounts the file system of a device on a directory, which it makes. The root of a
// file system that is new, which has a lost+found and nothing else, becomes a directory
// that everybody may write to, as other volumes are.
func Mount(device, dir string) error {
	if err := mount(device, dir); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	return nil
}

func mount(device, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// The file has zeros where no inode has been, and need not be told so.
	err := unix.Mount(device, dir, "ext4", unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOATIME, "noinit_itable,errors=remount-ro")
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "lost+found" {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "lost+found")); err != nil {
		return err
	}
	return os.Chmod(dir, 0o777)
}

// resizeRequest is EXT4_IOC_RESIZE_FS: _IOW('f', 16, __u64), include/uapi/linux/ext4.h.
const resizeRequest = 0x40086610

// Grow makes a mounted file system as big as its device. It needs CAP_SYS_RESOURCE.
func Grow(device, dir string) error {
	if err := grow(device, dir); err != nil {
		return fmt.Errorf("grow the file system of %s: %w", device, err)
	}
	return nil
}

func grow(device, dir string) error {
	disk, err := os.Open(device)
	if err != nil {
		return err
	}
	defer disk.Close()
	size, err := disk.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(root.Fd()), &stat); err != nil {
		return err
	}
	blocks := uint64(size / stat.Bsize)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), resizeRequest, uintptr(unsafe.Pointer(&blocks))); errno != 0 {
		return errno
	}
	return nil
}
