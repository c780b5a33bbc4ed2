package linux

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/caps"
	"cis/internal/agent/linux/inside"
	"cis/internal/agent/subpath"
	"cis/internal/cgroup"
)

// devices that containers may use, whoever made the file: those that a container has,
// and terminals. The numbers are in the kernel's Documentation/admin-guide/devices.txt.
var devices = []cgroup.Device{
	{Major: 1, Minor: 3}, {Major: 1, Minor: 5}, {Major: 1, Minor: 7}, {Major: 1, Minor: 8}, {Major: 1, Minor: 9},
	{Major: 5, Minor: 0}, {Major: 5, Minor: 2}, {Major: 136, Minor: cgroup.AnyMinor},
}

// programOf describes the main program of a container.
func programOf(c *agentpb.Container) (inside.Program, error) {
	mask, err := caps.Mask(c.Capabilities)
	return inside.Program{
		Args: c.Args, Env: c.Env, Dir: c.Cwd, UID: c.UID, GID: c.GID, Groups: c.Groups,
		Capabilities: mask, Filter: seccomp(c.Capabilities, c.Unconfined), NoNewPrivileges: c.NoNewPrivileges,
	}, err
}

// mounts opens the container's root and the volumes that it asks for, as mounts that
// are attached nowhere. The caller closes them, after an error too. A helper that was
// started before them could not reach them by their paths.
func (c *container) mounts(w *agentpb.Workload) (fds []int, err error) {
	root, err := cloneMount(c.root(), 0)
	if err != nil {
		return nil, err
	}
	fds = append(fds, root)
	for _, m := range c.spec.Mounts {
		fd, err := c.cloneVolume(w, m)
		if err != nil {
			return fds, fmt.Errorf("mount volume %s: %w", m.Volume, err)
		}
		fds = append(fds, fd)
	}
	if c.spec.MessagePath == "" {
		return fds, nil
	}
	message, err := cloneMount(c.message(), unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return fds, err
	}
	return append(fds, message), nil
}

// cloneVolume opens what of a volume a container shall see, as a mount of its own.
func (c *container) cloneVolume(w *agentpb.Workload, m agentpb.Mount) (fd int, err error) {
	source, readOnly, err := c.volume(w, m.Volume)
	if err != nil {
		return -1, err
	}
	attributes := uint64(unix.MOUNT_ATTR_NODEV)
	if readOnly || m.ReadOnly {
		attributes |= unix.MOUNT_ATTR_RDONLY
	}
	share := c.r.nfsShare(m.Volume)
	if share == nil || m.SubPath != "" {
		return cloneOf(source, m.SubPath, attributes)
	}
	if fd, err = share.Clone(); err != nil {
		return -1, err
	}
	return restrict(fd, attributes)
}

// cloneOf opens a volume, or what is at a path in it, as a mount of its own.
func cloneOf(volume, sub string, attributes uint64) (fd int, err error) {
	if sub == "" {
		return cloneMount(volume, attributes)
	}
	part, err := subpath.Open(volume, sub)
	if err != nil {
		return -1, err
	}
	defer unix.Close(part)
	return cloneMount("/proc/self/fd/"+strconv.Itoa(part), attributes)
}

// cloneMount opens what is at a path as a mount of its own.
func cloneMount(path string, attributes uint64) (fd int, err error) {
	fd, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	if fd, err = restrict(fd, attributes); err != nil {
		return -1, fmt.Errorf("set up the mount of %s: %w", path, err)
	}
	return fd, nil
}

// restrict sets attributes of a mount that is open, and closes it if that fails.
func restrict(mount int, attributes uint64) (fd int, err error) {
	attr := &unix.MountAttr{Attr_set: attributes}
	if err := unix.MountSetattr(mount, "", unix.AT_EMPTY_PATH, attr); err != nil {
		unix.Close(mount)
		return -1, err
	}
	return mount, nil
}

// volume finds the directory of a volume.
func (c *container) volume(w *agentpb.Workload, name string) (dir string, readOnly bool, err error) {
	for _, v := range w.Volumes {
		if v.Name == name && v.Image != "" {
			dir, err = c.acquire(v.Image)
			return dir, true, err
		}
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if dir = c.r.files[name]; dir != "" {
		return dir, true, nil
	}
	if dir = c.r.volumes[name]; dir == "" {
		return "", false, fmt.Errorf("no such volume")
	}
	return dir, false, nil
}
