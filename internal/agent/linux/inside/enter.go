package inside

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// enter makes the container's files, with its volumes and what is on the stage, the
// only ones that this process can see. Root and mounts are attached nowhere yet.
func (c *Container) enter(stage string, root int, mounts []int) error {
	err := unix.MoveMount(root, "", unix.AT_FDCWD, path.Join(stage, rootDir), unix.MOVE_MOUNT_F_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	for _, dir := range SystemDirs {
		if err := move(path.Join(stage, dir), root, dir); err != nil {
			return fmt.Errorf("mount /%s: %w", dir, err)
		}
	}
	for i, mount := range mounts {
		if err := show(mount, root, c.Targets[i]); err != nil {
			return fmt.Errorf("mount %s: %w", c.Targets[i], err)
		}
	}
	if c.ReadOnly {
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, attr); err != nil {
			return fmt.Errorf("make the root read-only: %w", err)
		}
	}
	return settle(root)
}

// settle makes a directory the root. It lies on the old one from now on, since the
// file system of a kernel's first program cannot be left otherwise.
func settle(root int) error {
	if err := unix.Fchdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// target opens a directory of the container, from which symlinks cannot lead out.
func target(root int, name string) (int, error) {
	return unix.Openat2(root, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
}

// move moves the mount at a path into the container.
func move(from string, root int, to string) error {
	at, err := target(root, to)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return unix.MoveMount(unix.AT_FDCWD, from, at, "", unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// show attaches a mount in the container, at a place that is made where the image has none.
func show(mount, root int, name string) error {
	var info unix.Stat_t
	if err := unix.Fstat(mount, &info); err != nil {
		return err
	}
	at, err := mountPoint(root, name, info.Mode&unix.S_IFMT)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return unix.MoveMount(mount, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// mountPoint opens what a directory, or a file, is to be mounted on.
func mountPoint(root int, name string, kind uint32) (fd int, err error) {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	if kind == unix.S_IFDIR {
		how.Flags |= unix.O_DIRECTORY
	}
	fd, err = unix.Openat2(root, name, how)
	if err != unix.ENOENT {
		return fd, err
	}
	dir, err := mountPoint(root, path.Dir(name), unix.S_IFDIR)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	if kind == unix.S_IFDIR {
		err = unix.Mkdirat(dir, path.Base(name), 0o755)
	} else {
		err = unix.Mknodat(dir, path.Base(name), unix.S_IFREG|0o644, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("make the mount point: %w", err)
	}
	return unix.Openat2(root, name, how)
}
