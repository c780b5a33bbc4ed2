package inside

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// enter makes the container's files, with its volumes and what is on the stage, the
// only ones that this process can see.
func (c *Container) enter(stage string) error {
	root, err := unix.Open(c.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the root %s: %w", c.Root, err)
	}
	defer unix.Close(root)
	for _, dir := range StageDirs {
		if err := move(path.Join(stage, dir), root, dir); err != nil {
			return fmt.Errorf("mount /%s: %w", dir, err)
		}
	}
	for _, m := range c.Mounts {
		if err := m.show(root); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
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

// show mounts a directory in the container.
func (m Mount) show(root int) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV}
	if m.ReadOnly {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return err
	}
	at, err := target(root, m.Target)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	return unix.MoveMount(tree, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}
