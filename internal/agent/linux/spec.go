package linux

import (
	"fmt"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/caps"
	"cis/internal/agent/linux/inside"
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
		Capabilities: mask, Filter: seccomp(c.Capabilities),
	}, err
}

// mounts are those that the container asks for.
func (c *container) mounts(w *agentpb.Workload) ([]inside.Mount, error) {
	var mounts []inside.Mount
	for _, m := range c.spec.Mounts {
		source, readOnly, err := c.volume(w, m.Volume)
		if err != nil {
			return nil, fmt.Errorf("mount volume %s: %w", m.Volume, err)
		}
		mounts = append(mounts, inside.Mount{Source: source, Target: m.Path, ReadOnly: readOnly || m.ReadOnly})
	}
	return mounts, nil
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
	if dir = c.r.volumes[name]; dir == "" {
		return "", false, fmt.Errorf("no such volume")
	}
	return dir, false, nil
}
