package agentpb

import (
	"time"

	"cis/api"
)

// Workload is all that an agent must know to run an instance. Everything that
// came from images, secrets or defaults is resolved in it.
type Workload struct {
	// ID of the run: a second Run with the same ID does nothing.
	ID       string `json:"id"`
	Hostname string `json:"hostname"`
	// Names of the instance's addresses in /etc/hosts; none: Hostname.
	Names []string `json:"names,omitempty"`
	// Address and, where it has one, Address6 of the instance, for /etc/hosts.
	Address  string `json:"address"`
	Address6 string `json:"address6,omitempty"`
	// Nameservers, Searches and ResolverOptions for /etc/resolv.conf.
	Nameservers     []string `json:"nameservers"`
	Searches        []string `json:"searches,omitempty"`
	ResolverOptions []string `json:"resolverOptions,omitempty"`

	// HostAliases are further lines of /etc/hosts.
	HostAliases []api.HostAlias `json:"hostAliases,omitempty"`

	InitContainers []Container       `json:"initContainers,omitempty"`
	Containers     []Container       `json:"containers"`
	Volumes        []Volume          `json:"volumes,omitempty"`
	RestartPolicy  api.RestartPolicy `json:"restartPolicy"`
	// GracePeriod for stops that the agent begins by itself.
	GracePeriod time.Duration `json:"gracePeriod"`
	// ShareProcesses puts all containers into one PID namespace, whose process 1 is cis-pause.
	ShareProcesses bool `json:"shareProcesses,omitempty"`
	// Sysctls of the guest's kernel.
	Sysctls []api.Sysctl `json:"sysctls,omitempty"`
	// Deadline ends the workload with DeadlineExceeded; zero: none.
	Deadline time.Time `json:"deadline,omitzero"`
	// EphemeralStorage bounds each container's writable layer, in bytes.
	EphemeralStorage api.Bytes `json:"ephemeralStorage"`
	// Pids is the most processes and threads of the whole instance.
	Pids int64 `json:"pids"`
	// Memory is what all containers may use in all, in bytes. Where the machine's own
	// limit is wider, as a VM's is, the agent keeps to this one, until Resize changes it. Zero:
	// the machine's.
	Memory api.Bytes `json:"memory,omitempty"`
}

// Container is one program, ready to run.
type Container struct {
	Name string `json:"name"`
	// Rootfs is the image's EROFS file: a path on the host, or a device in a VM.
	Rootfs string `json:"rootfs"`
	// ReadOnly root.
	ReadOnly bool     `json:"readOnly,omitempty"`
	Args     []string `json:"args"`
	Env      []string `json:"env,omitempty"`
	Cwd      string   `json:"cwd"`
	UID      uint32   `json:"uid"`
	GID      uint32   `json:"gid"`
	Groups   []uint32 `json:"groups,omitempty"`
	// Capabilities that are permitted, effective and bounding, with CAP_.
	Capabilities []string `json:"capabilities,omitempty"`
	// NoNewPrivileges is Linux's no_new_privs, see prctl(2).
	NoNewPrivileges bool `json:"noNewPrivileges,omitempty"`
	// Unconfined: the kernel inside has all system calls to try.
	Unconfined bool `json:"unconfined,omitempty"`
	TTY        bool `json:"tty,omitempty"`
	Stdin      bool `json:"stdin,omitempty"`
	StdinOnce  bool `json:"stdinOnce,omitempty"`
	// RestartPolicy, where it is not the workload's. Always makes a sidecar of an init
	// container: it goes on until all main containers have ended.
	RestartPolicy api.RestartPolicy `json:"restartPolicy,omitempty"`
	// RestartRules come before the policy.
	RestartRules []api.ContainerRestartRule `json:"restartRules,omitempty"`
	// StopSignal is the number of the signal that asks the program to end.
	StopSignal int `json:"stopSignal"`
	// Mounts in the order in which they are made: what lies in another comes after it.
	Mounts []Mount `json:"mounts,omitempty"`
	// Target names the container whose processes it sees, and with which it ends; empty: none.
	// Where all share theirs it says nothing.
	Target string `json:"target,omitempty"`
	// MessagePath is where the program finds a file for its last words (package lastwords);
	// empty: there is none. MessageFromLogs: where it leaves none and fails, the end of its
	// output is taken.
	MessagePath     string `json:"messagePath,omitempty"`
	MessageFromLogs bool   `json:"messageFromLogs,omitempty"`

	StartupProbe   *api.Probe     `json:"startupProbe,omitempty"`
	LivenessProbe  *api.Probe     `json:"livenessProbe,omitempty"`
	ReadinessProbe *api.Probe     `json:"readinessProbe,omitempty"`
	Lifecycle      *api.Lifecycle `json:"lifecycle,omitempty"`

	// RestartCount and LastState carry on from an earlier sandbox of the instance:
	// the first start here is attempt RestartCount.
	RestartCount int                `json:"restartCount,omitempty"`
	LastState    api.ContainerState `json:"lastState,omitzero"`
}

// Mount places a volume.
type Mount struct {
	Volume string `json:"volume"`
	// SubPath is what of the volume is shown, see package subpath; empty: all of it.
	SubPath  string `json:"subPath,omitempty"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Volume is an empty directory; with Image set, a read-only EROFS file (inline files);
// with Files, what SetFiles gives it, read-only too (secrets); with Disk set, what is on a disk
// that outlives the sandbox; with NFS set, what a server has.
type Volume struct {
	Name  string `json:"name"`
	Image string `json:"image,omitempty"`
	Files bool   `json:"files,omitempty"`
	// Disk is the path on the host of the disk's file.
	Disk      string    `json:"disk,omitempty"`
	NFS       *NFS      `json:"nfs,omitempty"`
	Memory    bool      `json:"memory,omitempty"`
	SizeLimit api.Bytes `json:"sizeLimit,omitempty"`
	// Group owns what is in it, see package fsgroup; nil: whoever made it.
	Group *uint32 `json:"group,omitempty"`
	// Regroup gives all of a disk to Group, even if its root is the group's already.
	Regroup bool `json:"regroup,omitempty"`
}

// NFS is a directory of a server.
type NFS struct {
	// Server is an address, or a name for the workload's name servers.
	Server   string `json:"server"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Versions of the protocol to try, in turn.
	Versions []string `json:"versions"`
}

// State is what an agent tells of its workload.
type State struct {
	// WorkloadID is empty while the agent waits for one.
	WorkloadID     string            `json:"workloadID,omitempty"`
	InitContainers []ContainerStatus `json:"initContainers,omitempty"`
	Containers     []ContainerStatus `json:"containers,omitempty"`
	// EphemeralContainers are those that were added.
	EphemeralContainers []ContainerStatus `json:"ephemeralContainers,omitempty"`
	// Finished: every program has ended for good; nothing will change any more.
	Finished bool `json:"finished,omitempty"`
	// Reason and Message say why, where the agent ended it (DeadlineExceeded,
	// Stopped) or lost its sandbox (OOMKilled, SandboxLost).
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// SandboxLost: the sandbox died under the workload; the agent cannot go on, and
	// the engine decides whether the instance gets a new one. Where the agent was
	// ending the workload already, Reason says that.
	SandboxLost bool `json:"sandboxLost,omitempty"`
	// Events since the one asked for, oldest first.
	Events []Event `json:"events,omitempty"`
}

// ContainerStatus is the state of one container with its log's attempts.
type ContainerStatus struct {
	Name      string             `json:"name"`
	State     api.ContainerState `json:"state"`
	LastState api.ContainerState `json:"lastState,omitzero"`
	Ready     bool               `json:"ready"`
	Started   bool               `json:"started"`
	// RestartCount is the number of the latest attempt, by which Logs finds its
	// output. A container that is to start again is Waiting: Terminated is for good.
	RestartCount int `json:"restartCount"`
	// User that the program begins as.
	User *api.ContainerUser `json:"user,omitempty"`
	// FirstOutput is when the current attempt first wrote something.
	FirstOutput time.Time `json:"firstOutput,omitzero"`
}

// Event is a step that the agent has to tell of. Seq begins at 1.
type Event struct {
	Seq       uint64        `json:"seq"`
	Time      time.Time     `json:"time"`
	Container string        `json:"container,omitempty"`
	Type      api.EventType `json:"type"`
	Reason    string        `json:"reason"`
	Message   string        `json:"message"`
}

// ExecStart begins an Exec or Attach.
type ExecStart struct {
	Container string   `json:"container"`
	Args      []string `json:"args,omitempty"`
	// Env is added to the container's.
	Env []string `json:"env,omitempty"`
	Cwd string   `json:"cwd,omitempty"`
	// User, when set, replaces the container's.
	User   *User  `json:"user,omitempty"`
	TTY    bool   `json:"tty,omitempty"`
	Stdin  bool   `json:"stdin,omitempty"`
	Width  uint16 `json:"width,omitempty"`
	Height uint16 `json:"height,omitempty"`
}

// User is who a program runs as.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}
