// Package jail locks a program up before it runs: as a user of its own without
// privileges, in a file system that has the host's programs, read-only, and nothing
// else. It is entered by a process that already is in new namespaces.
//
// It knows nothing of QEMU, and never comes back: the program takes the process over.
package jail

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"cis/internal/seccomp"
)

// Cell says who the program is and where its root is put together.
type Cell struct {
	// Root is an empty directory.
	Root string
	// User becomes the program's user and group.
	User int
	// Device is the path of one that the program needs; empty: none. It gets one of its
	// own, which is its user's.
	Device string
	// KeepFiles: an order to make a hole in a file does nothing, and seems to be done.
	// What is a private mapping of a file can be given back then, by a program that
	// would make the hole in the file for all who map it.
	KeepFiles bool
	// Args begin with the program's path.
	Args []string
}

// Namespaces in which Enter must be called: everything that can be unshared but users.
const Namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// programDirs are what programs of the host need to start; where one is a link, as
// in Debian, the link is made again.
var programDirs = []string{"usr", "bin", "lib", "lib64"}

// devices that programs expect.
var devices = []string{"null", "urandom", "zero"}

// Enter runs the program in its cell. Open files stay open. It returns only errors.
func Enter(c Cell) error {
	runtime.LockOSThread()
	if err := c.enter(); err != nil {
		return fmt.Errorf("enter the jail: %w", err)
	}
	return nil
}

func (c Cell) enter() error {
	for _, step := range []func() error{c.build, c.shut, c.demote, c.keepFiles} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := unix.Exec(c.Args[0], c.Args, nil); err != nil {
		return fmt.Errorf("execute %s: %w", c.Args[0], err)
	}
	return nil
}

// build puts the root together.
func (c Cell) build() error {
	// What is mounted here is nobody else's business, and the other way round.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("tmpfs", c.Root, "tmpfs", unix.MS_NOSUID, "mode=0755,size=64k"); err != nil {
		return err
	}
	for _, dir := range programDirs {
		if err := c.provide(dir); err != nil {
			return err
		}
	}
	for _, name := range devices {
		if err := c.bind("/dev/"+name, 0); err != nil {
			return err
		}
	}
	if err := c.bind("/etc/ld.so.cache", unix.MS_RDONLY); err != nil {
		return err
	}
	if err := c.device(); err != nil {
		return err
	}
	return mount("proc", filepath.Join(c.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// provide makes a directory of the host readable in the root, or its link.
func (c Cell) provide(dir string) error {
	if target, err := os.Readlink("/" + dir); err == nil {
		return os.Symlink(target, filepath.Join(c.Root, dir))
	}
	return c.bind("/"+dir, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV)
}

// bind puts a file or directory of the host at the same place in the root.
func (c Cell) bind(path string, flags uintptr) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	target := filepath.Join(c.Root, path)
	if !info.IsDir() {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
	}
	if err := mount(path, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if flags == 0 {
		return nil
	}
	return mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|flags, "")
}

// device makes the program's device.
func (c Cell) device() error {
	if c.Device == "" {
		return nil
	}
	var info unix.Stat_t
	if err := unix.Stat(c.Device, &info); err != nil {
		return fmt.Errorf("stat %s: %w", c.Device, err)
	}
	path := filepath.Join(c.Root, c.Device)
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(info.Rdev)); err != nil {
		return fmt.Errorf("make %s: %w", c.Device, err)
	}
	return os.Chown(path, c.User, c.User)
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if _, err := os.Stat(target); err != nil {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

// shut makes the root the only one there is, and read-only.
func (c Cell) shut() error {
	if err := unix.Chdir(c.Root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return mount("", "/", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID, "")
}

// keepFiles filters the program's system calls.
func (c Cell) keepFiles() error {
	if !c.KeepFiles {
		return nil
	}
	if err := seccomp.Set(noHoles); err != nil {
		return fmt.Errorf("keep files whole: %w", err)
	}
	return nil
}

// demote gives up every privilege, for good.
func (c Cell) demote() error {
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	for _, step := range []func() error{
		func() error { return unix.Setgroups(nil) },
		func() error { return unix.Setresgid(c.User, c.User, c.User) },
		func() error { return unix.Setresuid(c.User, c.User, c.User) },
		func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("give up privileges: %w", err)
		}
	}
	return nil
}
