package crun

import (
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"cis/internal/agent/agentpb"
)

// toolPath is where every container finds cis-pause: it makes a terminal the
// program's own, and copies files.
const toolPath = "/dev/.cis-pause"

// containerSpec describes a container. Network, host name and IPC are the VM's own,
// for all containers of the instance.
func (c *container) containerSpec(w *agentpb.Workload) (*specs.Spec, error) {
	mounts := append(systemMounts(), specs.Mount{
		Destination: toolPath, Type: "bind", Source: c.runtime.conf.Tool, Options: []string{"bind", "ro"},
	})
	for _, m := range c.spec.Mounts {
		source, err := c.runtime.source(w, m.Volume)
		if err != nil {
			return nil, err
		}
		options := []string{"bind", "rw"}
		if m.ReadOnly {
			options[1] = "ro"
		}
		mounts = append(mounts, specs.Mount{Destination: filepath.Clean(m.Path), Type: "bind", Source: source, Options: options})
	}
	return &specs.Spec{
		Version: "1.0.0",
		Process: process(c.spec, c.spec.Args, c.spec.Env, c.spec.Cwd, specs.User{UID: c.spec.UID, GID: c.spec.GID, AdditionalGids: c.spec.Groups}, c.spec.TTY),
		Root:    &specs.Root{Path: c.root(), Readonly: c.spec.ReadOnly},
		Mounts:  mounts,
		Linux: &specs.Linux{
			CgroupsPath:   c.group(),
			Namespaces:    []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace}},
			Resources:     &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &w.Pids}},
			Seccomp:       seccomp(c.spec.Capabilities),
			MaskedPaths:   maskedPaths,
			ReadonlyPaths: readonlyPaths,
		},
	}, nil
}

// process describes a program. One with a terminal is started by cis-pause, which
// makes the terminal its own.
func process(c *agentpb.Container, args, env []string, cwd string, user specs.User, tty bool) *specs.Process {
	if tty {
		args = append([]string{toolPath, "terminal"}, args...)
	}
	caps := c.Capabilities
	return &specs.Process{
		Args: args, Env: env, Cwd: cwd, User: user,
		Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
	}
}

// systemMounts are those of every container.
func systemMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=64k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=64m"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	}
}

// maskedPaths and readonlyPaths are docker's: what of /proc and /sys tells of, or
// changes, the machine as a whole.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)
