package runsc

import (
	"fmt"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"cis/api"
	"cis/internal/agent/agentpb"
)

const (
	mib = 1 << 20
	// shmSize bounds /dev/shm, as docker does.
	shmSize = 64 * mib
)

// rootSpec describes the root container: cis-pause on its read-only image. The
// annotations with dev.gvisor.spec.mount declare the volumes that containers will
// share; gVisor reads them of the root container only.
func rootSpec(c Config, volumes map[string]*volume) *specs.Spec {
	caps := []string{"CAP_SYS_ADMIN", "CAP_CHOWN"} // to set the hostname, and for files' groups
	annotations := map[string]string{
		"io.kubernetes.cri.container-type": "sandbox",
		"dev.gvisor.spec.rootfs.source":    c.PauseImage,
		"dev.gvisor.spec.rootfs.type":      "erofs",
	}
	for _, v := range volumes {
		if v.dir != "" {
			continue // what is on the host is shared there
		}
		share(annotations, v.source, v.options())
	}
	mounts := fileMounts(annotations)
	return &specs.Spec{
		Version:  "1.0.0",
		Hostname: c.Hostname,
		Process: &specs.Process{
			Args: []string{"/pause"}, Cwd: "/",
			// One processor is enough to wait, and keeps the Go runtime's threads few.
			Env:          []string{"GOMAXPROCS=1"},
			Capabilities: capabilities(caps),
		},
		Root:        &specs.Root{Path: c.emptyDir(), Readonly: true},
		Annotations: annotations,
		Mounts:      mounts,
		Linux: &specs.Linux{
			CgroupsPath: c.Cgroup,
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
				{Type: specs.MountNamespace}, {Type: specs.NetworkNamespace, Path: c.NetNS},
			},
		},
	}
}

// options of a volume that starts empty: with a group as package fsgroup gives it.
func (v *volume) options() string {
	if v.group == nil {
		return fmt.Sprintf("rw,mode=0777,size=%d", v.size)
	}
	return fmt.Sprintf("rw,mode=2777,gid=%d,size=%d", *v.group, v.size)
}

// share declares a tmpfs that containers share by its source.
func share(annotations map[string]string, source, options string) {
	hint := "dev.gvisor.spec.mount." + source
	annotations[hint+".source"] = source
	annotations[hint+".type"] = "tmpfs"
	annotations[hint+".share"] = "pod"
	annotations[hint+".options"] = options
}

func capabilities(caps []string) *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
}

// containerSpec describes a container of the instance, in a PID namespace of that name: the
// first container to name it makes it. Without a name it is the root container's.
func containerSpec(c *agentpb.Container, processes string) *specs.Spec {
	namespaces := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if processes != "" {
		namespaces = append(namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace, Path: processes})
	}
	return &specs.Spec{
		Version: "1.0.0",
		Process: &specs.Process{
			Terminal: c.TTY, Args: c.Args, Env: c.Env, Cwd: c.Cwd,
			User:         specs.User{UID: c.UID, GID: c.GID, AdditionalGids: c.Groups},
			Capabilities: capabilities(c.Capabilities), NoNewPrivileges: c.NoNewPrivileges,
		},
		Root:        &specs.Root{Path: "/", Readonly: c.ReadOnly},
		Annotations: map[string]string{"io.kubernetes.cri.container-name": c.Name},
		Linux:       &specs.Linux{Namespaces: namespaces},
	}
}

// systemMounts are those of every container.
func systemMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc"},
		{Destination: "/sys", Type: "sysfs", Options: []string{"ro", "nosuid", "noexec"}},
		{Destination: "/dev", Type: "dev"},
		{Destination: "/dev/pts", Type: "devpts"},
		{Destination: "/dev/shm", Type: "tmpfs", Options: []string{"mode=1777", "nosuid", "noexec", "size=" + strconv.Itoa(shmSize)}},
		// gVisor counts what a container uses if it has cgroups mounted; what is mounted
		// over them keeps them from programs. Mounts are made in the order of their lengths.
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"ro"}},
		{Destination: "/sys/fs/cgroup/.", Type: "tmpfs", Options: []string{"ro", "nosuid", "noexec", "size=4096"}},
	}
}

// noTmp keeps gVisor from putting a tmpfs without a limit on an empty /tmp: it
// finds an explicit mount there, of a type that it then ignores.
var noTmp = specs.Mount{Destination: "/tmp", Type: "cis-none"}

// lowerKind and upperKind are runsc's GoferMountConfLowerType and -UpperType.
type (
	lowerKind uint8
	upperKind uint8
)

const (
	lowerNone   lowerKind = 0
	lowerLisafs lowerKind = 1
	lowerErofs  lowerKind = 2

	upperNone   upperKind = 0
	upperMemory upperKind = 1
	upperStore  upperKind = 3
)

// mountConf is runsc's GoferMountConf: how the root, or a mount of type bind or
// erofs, is backed.
type mountConf struct {
	Lower lowerKind `json:"lower"`
	Upper upperKind `json:"upper"`
	// Size in bytes, in decimal.
	Size string `json:"size,omitempty"`
}

// startArgs is runsc's boot.StartArgs.
type startArgs struct {
	Spec                        *specs.Spec
	Conf                        sandboxConf
	CID                         string
	NumGoferFilestoreFDs        int
	IsDevIoFilePresent          bool
	GoferMountConfs             []mountConf
	IsRootfsUpperTarFilePresent bool
}

// sandboxConf is the part of runsc's config.Config that a container's start reads.
type sandboxConf struct {
	EnableRaw        bool
	FileAccessMounts int
	DCache           int
	FDLimit          int
	PanicSignal      int
	Platform         string
	WatchdogAction   string
}

func containerConf() sandboxConf {
	return sandboxConf{
		EnableRaw: true, FileAccessMounts: 1, DCache: -1, FDLimit: -1, PanicSignal: -1,
		Platform: platform, WatchdogAction: "log",
	}
}

func rootConf(ephemeral api.Bytes) mountConf {
	return mountConf{Lower: lowerErofs, Upper: upperStore, Size: strconv.FormatInt(int64(ephemeral), 10)}
}
