package crun

import (
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"cis/api"
	"cis/internal/agent/agentpb"
)

const (
	// toolPath is cis-pause by its descriptor, the first after the standard ones.
	toolPath = "/proc/self/fd/3"
	// shmSize bounds /dev/shm, devSize /dev, as docker does.
	shmSize = "size=64m"
	devSize = "size=64k"
)

// maskedPaths cannot be read, readOnlyPaths not be written: they tell of the VM, or
// change it.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readOnlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// bundleSpec describes a container, with the mounts of its volumes.
func (c *container) bundleSpec(volumes []specs.Mount, memory api.Bytes) *specs.Spec {
	return &specs.Spec{
		Version: "1.0.0",
		Process: programSpec(c.spec),
		Root:    &specs.Root{Path: c.root(), Readonly: c.spec.ReadOnly},
		Mounts:  append(systemMounts(), volumes...),
		Linux: &specs.Linux{
			CgroupsPath: c.group(),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
			},
			Resources: resources(memory),
			// Unmounting outside reaches what is left of the mount inside.
			RootfsPropagation: "rslave",
			MaskedPaths:       maskedPaths,
			ReadonlyPaths:     readOnlyPaths,
			Seccomp:           seccomp(c.spec.Capabilities),
		},
	}
}

// resources of a container. All share the instance's memory, and each sees that limit
// as its own, for programs that look how much they have.
func resources(memory api.Bytes) *specs.LinuxResources {
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	if limit := int64(memory); limit > 0 {
		r.Memory = &specs.LinuxMemory{Limit: &limit}
	}
	return r
}

// programSpec describes a container's main program, begun by cis-pause.
func programSpec(c *agentpb.Container) *specs.Process {
	return &specs.Process{
		Args: append([]string{toolPath, "start", c.Cwd}, c.Args...), Env: c.Env, Cwd: "/",
		User:         specs.User{UID: c.UID, GID: c.GID, AdditionalGids: c.Groups},
		Capabilities: capabilities(c.Capabilities),
	}
}

func capabilities(caps []string) *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
}

// systemMounts are those of every container. Terminals are made outside, so
// /dev/pts is the one from there.
func systemMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev", "relatime"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", devSize}},
		{Destination: "/dev/pts", Type: "bind", Source: "/dev/pts", Options: []string{"bind", "nosuid", "noexec"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", shmSize}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	}
}

// volumeMounts are those that the container asks for.
func (c *container) volumeMounts(w *agentpb.Workload) ([]specs.Mount, error) {
	var mounts []specs.Mount
	for _, m := range c.spec.Mounts {
		source, readOnly, err := c.volume(w, m.Volume)
		if err != nil {
			return nil, fmt.Errorf("mount volume %s: %w", m.Volume, err)
		}
		options := []string{"bind", "nodev"}
		if readOnly || m.ReadOnly {
			options = append(options, "ro")
		}
		mounts = append(mounts, specs.Mount{
			Destination: filepath.Clean(m.Path), Type: "bind", Source: source, Options: options,
		})
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
