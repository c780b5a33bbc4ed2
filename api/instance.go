package api

import "time"

// RestartPolicy says when a container that ended is started again.
type RestartPolicy string

// The restart policies, as in Kubernetes.
const (
	RestartNever     RestartPolicy = "Never"
	RestartOnFailure RestartPolicy = "OnFailure"
	RestartAlways    RestartPolicy = "Always"
)

// Isolation names the kind of sandbox an instance runs in.
type Isolation string

// The isolations. IsolationAuto takes a VM where KVM runs guests, else gVisor.
const (
	IsolationAuto   Isolation = "auto"
	IsolationVM     Isolation = "vm"
	IsolationGVisor Isolation = "gvisor"
)

// PullPolicy says when an image is fetched from its registry.
type PullPolicy string

// The pull policies, as in Kubernetes.
const (
	PullAlways       PullPolicy = "Always"
	PullIfNotPresent PullPolicy = "IfNotPresent"
	PullNever        PullPolicy = "Never"
)

// InstanceSpec is what a user asks for. The names follow the Kubernetes PodSpec
// wherever it has the thing.
type InstanceSpec struct {
	// Name is unique among the account's instances on record: a DNS label of 1 to 63
	// characters. Empty: one is made up.
	Name string `json:"name,omitempty"`
	// Labels are the user's own; keys and values as in Kubernetes.
	Labels map[string]string `json:"labels,omitempty"`

	// Containers run side by side; at least one, at most 32 with InitContainers.
	Containers []Container `json:"containers"`
	// InitContainers run one after the other, each to its end, before Containers. One
	// with restartPolicy Always is a sidecar: the next begins when it has started, and
	// it goes on until all Containers have ended, which alone say how the instance ends.
	InitContainers []Container `json:"initContainers,omitempty"`
	// EphemeralContainers are those that were added while the instance ran; a new run has
	// none. They cannot be created with it.
	EphemeralContainers []EphemeralContainer `json:"ephemeralContainers,omitempty"`
	// RestartPolicy holds for every container that has none of its own. Default Never.
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty"`

	// Size names one of the operator's sizes; it excludes CPU and Memory.
	Size string `json:"size,omitempty"`
	// CPU of the whole instance: a multiple of 0.05 cores, from 0.05 up to the
	// host's. Default: the sum of the containers' limits, else 0.5.
	CPU CPU `json:"cpu,omitempty"`
	// Memory of the whole instance: a multiple of 1 MiB, from 32 MiB up to the
	// host's. Default: the sum of the containers' limits, else 256 MiB.
	Memory Bytes `json:"memory,omitempty"`
	// EphemeralStorage bounds what each container writes outside its volumes.
	// From 1 MiB; default 10 GiB.
	EphemeralStorage Bytes `json:"ephemeralStorage,omitempty"`
	// Volumes that containers mount by name.
	Volumes []Volume `json:"volumes,omitempty"`
	// SecurityContext of the instance as a whole.
	SecurityContext *InstanceSecurityContext `json:"securityContext,omitempty"`
	// ShareProcessNamespace: the containers see, and may signal, each other's processes.
	// Process 1 is then none of theirs.
	ShareProcessNamespace bool `json:"shareProcessNamespace,omitempty"`

	// Hostname is a DNS name of at most 64 characters. Default: the name.
	Hostname string `json:"hostname,omitempty"`
	// Domain is the DNS name that makes a full one of Hostname: /etc/hosts then has HOSTNAME.DOMAIN
	// for the instance's addresses, before Hostname.
	Domain string `json:"domain,omitempty"`
	// SetHostnameAsFQDN: programs find the full name as their host's, which has at most 64
	// characters then. It needs Domain, and Hostname or Name.
	SetHostnameAsFQDN bool `json:"setHostnameAsFQDN,omitempty"`
	// Network is the instance's place on the network.
	Network NetworkSpec `json:"network,omitzero"`
	// DNSPolicy is Default, which is the VPC's name server, or None.
	DNSPolicy DNSPolicy `json:"dnsPolicy,omitempty"`
	// DNSConfig is added to what DNSPolicy gives.
	DNSConfig *DNSConfig `json:"dnsConfig,omitempty"`
	// HostAliases are further lines of /etc/hosts, at most 64.
	HostAliases []HostAlias `json:"hostAliases,omitempty"`
	// TerminationGracePeriodSeconds is the time from the stop signal to the
	// kill, 0 to 3600. Default 10.
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`
	// ActiveDeadlineSeconds ends the instance that many seconds after its start.
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
	// TTLSecondsAfterFinished removes the record and the logs that many seconds
	// after the end. Nil: kept until removed.
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`
	// Isolation of the sandbox. Default auto.
	Isolation Isolation `json:"isolation,omitempty"`
	// ImagePullSecrets name secrets with registry credentials.
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
}

// Container is one program of an instance.
type Container struct {
	// Name is a DNS label, unique in the instance. Default for a single
	// container: "main".
	Name string `json:"name,omitempty"`
	// Image is a reference such as docker.io/library/nginx:1.27 or one with @sha256:….
	Image string `json:"image"`
	// ImagePullPolicy defaults to Always for the tag latest, else IfNotPresent.
	ImagePullPolicy PullPolicy `json:"imagePullPolicy,omitempty"`
	// Command replaces the image's ENTRYPOINT (and then its CMD too).
	Command []string `json:"command,omitempty"`
	// Args replaces the image's CMD.
	Args []string `json:"args,omitempty"`
	// Env is added to the image's ENV.
	Env []EnvVar `json:"env,omitempty"`
	// ExpandFields: in Command, Args and the values of Env, $(status.address) and
	// $(status.address6) become these fields of the instance, and $$ a single $.
	ExpandFields bool `json:"expandFields,omitempty"`
	// WorkingDir is an absolute path. Default: the image's WORKDIR, else /.
	WorkingDir string `json:"workingDir,omitempty"`
	// User is a name or uid, optionally with :group, as in the image's USER.
	User string `json:"user,omitempty"`
	// Resources of this container; they add up to the instance's size where that
	// is not given.
	Resources Resources `json:"resources,omitzero"`
	// TTY gives the program a terminal.
	TTY bool `json:"tty,omitempty"`
	// Stdin keeps the program's standard input open for attach.
	Stdin bool `json:"stdin,omitempty"`
	// StdinOnce closes standard input when the first attached client goes.
	StdinOnce bool `json:"stdinOnce,omitempty"`
	// Ports the program listens on; for people and tools to read.
	Ports []ContainerPort `json:"ports,omitempty"`
	// SecurityContext narrows or widens what the program may do.
	SecurityContext *SecurityContext `json:"securityContext,omitempty"`
	// VolumeMounts place the instance's volumes.
	VolumeMounts []VolumeMount `json:"volumeMounts,omitempty"`
	// RestartPolicy of this container alone. Default: the instance's. Always makes a
	// sidecar of an init container.
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty"`
	// RestartPolicyRules come before RestartPolicy, which has to be given with them: the first that fits
	// the exit code of a program that ended counts. At most 20.
	RestartPolicyRules []ContainerRestartRule `json:"restartPolicyRules,omitempty"`
	// StartupProbe holds the other probes back until it has succeeded once.
	StartupProbe *Probe `json:"startupProbe,omitempty"`
	// LivenessProbe restarts the container when it fails.
	LivenessProbe *Probe `json:"livenessProbe,omitempty"`
	// ReadinessProbe decides whether the container counts as ready.
	ReadinessProbe *Probe `json:"readinessProbe,omitempty"`
	// Lifecycle hooks.
	Lifecycle *Lifecycle `json:"lifecycle,omitempty"`
	// TerminationMessagePath is where the program finds a file whose last 4096 bytes become
	// the message of its end: absolute, and no directory. Empty: there is none.
	TerminationMessagePath string `json:"terminationMessagePath,omitempty"`
	// TerminationMessagePolicy is File (default) or FallbackToLogsOnError: a program that
	// ends with another exit code than 0 and has left no message gets the end of its output
	// for one, at most 80 lines and 2048 bytes.
	TerminationMessagePolicy TerminationMessagePolicy `json:"terminationMessagePolicy,omitempty"`
}

// TerminationMessagePolicy says what becomes the message of a program's end.
type TerminationMessagePolicy string

// The policies, as in Kubernetes.
const (
	MessageFromFile       TerminationMessagePolicy = "File"
	MessageFallbackToLogs TerminationMessagePolicy = "FallbackToLogsOnError"
)

// EnvVar is one environment variable. Value and ValueFrom exclude each other.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// ValueFrom is for what is known only once the instance is made.
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is where a variable's value comes from.
type EnvVarSource struct {
	FieldRef *FieldRef `json:"fieldRef"`
}

// FieldRef names a field of the instance.
type FieldRef struct {
	// FieldPath is status.address or status.address6.
	FieldPath string `json:"fieldPath"`
}

// The fields that a variable may have.
const (
	FieldAddress  = "status.address"
	FieldAddress6 = "status.address6"
)

// HostAlias is a line of /etc/hosts.
type HostAlias struct {
	IP string `json:"ip"`
	// Hostnames are 1 to 64 DNS names.
	Hostnames []string `json:"hostnames"`
}

// Resources of one container.
type Resources struct {
	Limits ResourceList `json:"limits,omitzero"`
}

// ResourceList is an amount of cpu and memory; zero means none given.
type ResourceList struct {
	CPU    CPU   `json:"cpu,omitempty"`
	Memory Bytes `json:"memory,omitempty"`
}

// ContainerPort is a port that a program listens on.
type ContainerPort struct {
	Name string `json:"name,omitempty"`
	// ContainerPort is 1 to 65535.
	ContainerPort int `json:"containerPort"`
	// Protocol is TCP (default) or UDP.
	Protocol string `json:"protocol,omitempty"`
}

// InstanceSecurityContext says what holds for all containers.
type InstanceSecurityContext struct {
	// FSGroup is a group that every container is in and that owns the volumes: it may
	// read and write them (files and secrets: read), and what is made in them is its
	// own. A disk is gone through when its root is not the group's yet. 0 to 4294967294.
	FSGroup *int64 `json:"fsGroup,omitempty"`
	// FSGroupChangePolicy Always has a disk gone through at every start of the sandbox.
	// Default OnRootMismatch.
	FSGroupChangePolicy FSGroupChangePolicy `json:"fsGroupChangePolicy,omitempty"`
	// Sysctls of the kernel inside, which all containers have. With them isolation auto is vm.
	Sysctls []Sysctl `json:"sysctls,omitempty"`
}

// FSGroupChangePolicy says when a disk's files are given to the group.
type FSGroupChangePolicy string

// The policies, as in Kubernetes.
const (
	FSGroupOnRootMismatch FSGroupChangePolicy = "OnRootMismatch"
	FSGroupAlways         FSGroupChangePolicy = "Always"
)

// SecurityContext of one container.
type SecurityContext struct {
	// ReadOnlyRootFilesystem makes the image's tree unwritable.
	ReadOnlyRootFilesystem bool `json:"readOnlyRootFilesystem,omitempty"`
	// Capabilities changes the default set (docker's).
	Capabilities *Capabilities `json:"capabilities,omitempty"`
	// AllowPrivilegeEscalation: false keeps what the program executes from having more
	// privileges than it has itself, by set-user-ID for example: no_new_privs of Linux.
	// Default true.
	AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation,omitempty"`
	// RunAsNonRoot fails the container where its user, the image's for example, is 0.
	RunAsNonRoot bool `json:"runAsNonRoot,omitempty"`
	// SupplementalGroups are added to the groups that the user has in the image; at
	// most 64, each 0 to 4294967294.
	SupplementalGroups []int64 `json:"supplementalGroups,omitempty"`
	// SupplementalGroupsPolicy is Merge (default), or Strict: the groups that the user has in
	// the image do not count.
	SupplementalGroupsPolicy SupplementalGroupsPolicy `json:"supplementalGroupsPolicy,omitempty"`
	// SeccompProfile is the filter of system calls before the kernel inside.
	SeccompProfile *SeccompProfile `json:"seccompProfile,omitempty"`
}

// SupplementalGroupsPolicy says which groups a program is in.
type SupplementalGroupsPolicy string

// The policies, as in Kubernetes.
const (
	GroupsMerge  SupplementalGroupsPolicy = "Merge"
	GroupsStrict SupplementalGroupsPolicy = "Strict"
)

// SeccompProfile is a filter of system calls.
type SeccompProfile struct {
	// Type is RuntimeDefault, which every container has, or Unconfined. With gVisor both are
	// the same: its kernel has no calls to filter out.
	Type SeccompProfileType `json:"type"`
}

// SeccompProfileType names a filter of system calls.
type SeccompProfileType string

// The profiles, as in Kubernetes.
const (
	SeccompRuntimeDefault SeccompProfileType = "RuntimeDefault"
	SeccompUnconfined     SeccompProfileType = "Unconfined"
)

// Capabilities are Linux capabilities by name, without CAP_; ALL is allowed.
type Capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

// VolumeMount places a volume in a container.
type VolumeMount struct {
	Name string `json:"name"`
	// MountPath is absolute and not the root.
	MountPath string `json:"mountPath"`
	// SubPath is the file or directory of the volume that is shown: a relative path
	// without "..". A directory that does not exist is made; symlinks may not lead out of
	// the volume. What is shown of a secret stays as it was when the container started.
	// Empty: the whole volume.
	SubPath  string `json:"subPath,omitempty"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Volume is storage that containers of one instance share. Exactly one source
// is set.
type Volume struct {
	Name string `json:"name"`
	// EmptyDir starts empty and goes with the instance.
	EmptyDir *EmptyDir `json:"emptyDir,omitempty"`
	// Files are given inline, read-only.
	Files *FilesVolume `json:"files,omitempty"`
	// Secret is read-only; its keys are the file names. The files follow the secret.
	Secret *SecretVolume `json:"secret,omitempty"`
	// Projected has the files of several secrets, as Secret has those of one.
	Projected *ProjectedVolume `json:"projected,omitempty"`
	// Disk is a named disk, whose content stays.
	Disk *DiskVolume `json:"disk,omitempty"`
	// NFS is a directory of an NFS server.
	NFS *NFSVolume `json:"nfs,omitempty"`
}

// DiskVolume is a disk of this host. The instance gets the disk's kind of isolation, and has
// the disk until its end; no other instance can have it then.
type DiskVolume struct {
	// Name or ID of the disk.
	Name string `json:"name"`
}

// NFSVolume is a directory of an NFS server, which the kernel of a virtual machine mounts: the
// instance must be one. What is in it is the server's, and counts for no limit of the
// instance's.
type NFSVolume struct {
	// Server is an IP address, or a name that the instance's name servers know.
	Server string `json:"server"`
	// Path of the directory on the server: absolute, in its shortest form.
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Version of the protocol: 3, 4.0, 4.1, 4.2, or 4 for the highest of those that begin with
	// it. Default: the highest that the server has.
	Version string `json:"version,omitempty"`
}

// EmptyDir is a scratch directory.
type EmptyDir struct {
	// Medium is "" (disk) or "Memory", which counts against the instance's memory.
	Medium string `json:"medium,omitempty"`
	// SizeLimit bounds it. Default: the instance's ephemeral storage on disk,
	// half its memory in memory.
	SizeLimit Bytes `json:"sizeLimit,omitempty"`
}

// FilesVolume holds small files given in the spec; at most 1 MiB in all.
type FilesVolume struct {
	Items []FileItem `json:"items"`
}

// FileItem is one inline file. Content and ContentBase64 exclude each other.
type FileItem struct {
	// Path is relative to the mount, without "..".
	Path          string `json:"path"`
	Content       string `json:"content,omitempty"`
	ContentBase64 string `json:"contentBase64,omitempty"`
	// Mode is the permission bits in octal, such as "0600". Default "0644".
	Mode string `json:"mode,omitempty"`
}

// SecretVolume shows a secret's keys as files. When the secret changes so do the files, all
// at once: a program that reads them sees the old ones or the new ones. Its files are at
// most 1 MiB in all.
type SecretVolume struct {
	SecretName string `json:"secretName"`
	// DefaultMode is the files' permission bits in octal. Default "0400".
	DefaultMode string `json:"defaultMode,omitempty"`
	// Items choose keys and say where their files are. Empty: every key, as a file
	// of that name.
	Items []KeyToPath `json:"items,omitempty"`
	// Optional: a secret or a key that does not exist is left out, and there when it comes.
	Optional bool `json:"optional,omitempty"`
}

// ProjectedVolume shows the keys of several secrets as files of one directory, which
// change as those of a SecretVolume do, each secret at a time.
type ProjectedVolume struct {
	// DefaultMode is the files' permission bits in octal. Default "0400".
	DefaultMode string `json:"defaultMode,omitempty"`
	// Sources of files; a later one of the same path wins.
	Sources []VolumeProjection `json:"sources"`
}

// VolumeProjection is a source of files. Secret has to be set.
type VolumeProjection struct {
	Secret *SecretProjection `json:"secret,omitempty"`
}

// SecretProjection is a secret among the sources of a volume.
type SecretProjection struct {
	Name string `json:"name"`
	// Items choose keys and say where their files are. Empty: every key, as a file
	// of that name.
	Items []KeyToPath `json:"items,omitempty"`
	// Optional: a secret or a key that does not exist is left out, and there when it comes.
	Optional bool `json:"optional,omitempty"`
}

// KeyToPath makes a file of one key of a secret.
type KeyToPath struct {
	Key string `json:"key"`
	// Path is relative to the mount, without "..", which may not begin it either.
	Path string `json:"path"`
	// Mode is the permission bits in octal. Default: the volume's DefaultMode.
	Mode string `json:"mode,omitempty"`
}

// Handler is one action of a probe or hook. Exactly one is set; TCPSocket and GRPC are
// for probes only, Sleep is for hooks only.
type Handler struct {
	Exec      *ExecAction      `json:"exec,omitempty"`
	HTTPGet   *HTTPGetAction   `json:"httpGet,omitempty"`
	TCPSocket *TCPSocketAction `json:"tcpSocket,omitempty"`
	GRPC      *GRPCAction      `json:"grpc,omitempty"`
	Sleep     *SleepAction     `json:"sleep,omitempty"`
}

// ExecAction runs a command in the container; exit code 0 is success.
type ExecAction struct {
	Command []string `json:"command"`
}

// HTTPGetAction asks the instance; a status from 200 to 399 is success.
type HTTPGetAction struct {
	Path string `json:"path,omitempty"`
	Port int    `json:"port"`
	// Host is an IP address, which is asked from inside. Default: the instance's own.
	Host string `json:"host,omitempty"`
	// Scheme is HTTP (default) or HTTPS, whose certificate is not checked.
	Scheme      string       `json:"scheme,omitempty"`
	HTTPHeaders []HTTPHeader `json:"httpHeaders,omitempty"`
}

// HTTPHeader is sent with an HTTPGetAction.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPSocketAction connects to a port; a connection is success.
type TCPSocketAction struct {
	Port int `json:"port"`
	// Host is an IP address, which is tried from inside. Default: the instance's own.
	Host string `json:"host,omitempty"`
}

// GRPCAction asks a server of grpc.health.v1.Health, without TLS; SERVING is success.
type GRPCAction struct {
	Port int `json:"port"`
	// Service to ask about. Empty: the server as a whole.
	Service string `json:"service,omitempty"`
}

// SleepAction lets time pass.
type SleepAction struct {
	// Seconds are 0 to 3600.
	Seconds int64 `json:"seconds"`
}

// Probe asks a container about its health. Defaults are Kubernetes'.
type Probe struct {
	Handler
	InitialDelaySeconds int `json:"initialDelaySeconds,omitempty"` // default 0
	PeriodSeconds       int `json:"periodSeconds,omitempty"`       // default 10
	TimeoutSeconds      int `json:"timeoutSeconds,omitempty"`      // default 1
	SuccessThreshold    int `json:"successThreshold,omitempty"`    // default 1
	FailureThreshold    int `json:"failureThreshold,omitempty"`    // default 3
	// TerminationGracePeriodSeconds replaces the instance's where the probe restarts the
	// container: 1 to 3600, of startup and liveness probes only.
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`
}

// Lifecycle hooks of a container.
type Lifecycle struct {
	// PostStart runs right after the start; its failure restarts the container.
	PostStart *Handler `json:"postStart,omitempty"`
	// PreStop runs before the stop signal, within the grace period.
	PreStop *Handler `json:"preStop,omitempty"`
	// StopSignal asks the program to end: a signal by name, such as SIGUSR1 or SIGRTMIN+3, or
	// number. Default: the image's, else SIGTERM.
	StopSignal string `json:"stopSignal,omitempty"`
}

// Instance is the record of one instance.
type Instance struct {
	// ID is "i-" and 12 hexadecimal digits.
	ID string `json:"id"`
	// Account that owns it.
	Account string `json:"account,omitempty"`
	// Spec as asked for, with the defaults filled in.
	Spec      InstanceSpec   `json:"spec"`
	Status    InstanceStatus `json:"status"`
	CreatedAt time.Time      `json:"createdAt"`
	// Revision grows with every change of the record, over all instances.
	Revision int64 `json:"revision"`
}

// Phase is where an instance is in its life.
type Phase string

// The phases. Succeeded and Failed are ends: every program has ended for good, and
// the sandbox goes at once.
const (
	PhasePending   Phase = "Pending"
	PhaseRunning   Phase = "Running"
	PhaseSucceeded Phase = "Succeeded"
	PhaseFailed    Phase = "Failed"
)

// Finished tells whether the phase is an end.
func (p Phase) Finished() bool { return p == PhaseSucceeded || p == PhaseFailed }

// InstanceStatus is what cis knows of an instance.
type InstanceStatus struct {
	Phase Phase `json:"phase"`
	// Reason is a word for programs, Message a sentence for people.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Ready: it runs and every container is ready.
	Ready bool `json:"ready"`
	// Stopping: a stop or removal was asked for and is under way.
	Stopping bool `json:"stopping,omitempty"`
	// Address is its private IPv4 address; it stays the same over restarts.
	Address string `json:"address,omitempty"`
	// Address6 is its private IPv6 address, in a subnet that has them.
	Address6 string `json:"address6,omitempty"`
	// PublicAddress is the one bound to it.
	PublicAddress string `json:"publicAddress,omitempty"`
	// Ports of the host that lead to it, with those that were chosen for it.
	Ports []PublishedPort `json:"ports,omitempty"`
	// Isolation is the kind of sandbox it got.
	Isolation Isolation `json:"isolation,omitempty"`
	// Emulated: it is a VM whose processor is emulated, since the host has no working
	// KVM; code in it runs about twelve times slower.
	Emulated bool `json:"emulated,omitempty"`
	// Resources is the size that is in force: what its sandbox has. It is not the spec's while
	// a resize is under way, and left out while there is no sandbox.
	Resources ResourceList `json:"resources,omitzero"`
	// ResizeMessage says what keeps the spec's size from being in force; it is tried again.
	ResizeMessage string `json:"resizeMessage,omitempty"`
	// Standby: the sandbox came from the standby pool.
	Standby                    bool              `json:"standby,omitempty"`
	InitContainerStatuses      []ContainerStatus `json:"initContainerStatuses,omitempty"`
	ContainerStatuses          []ContainerStatus `json:"containerStatuses,omitempty"`
	EphemeralContainerStatuses []ContainerStatus `json:"ephemeralContainerStatuses,omitempty"`
	// StartedAt is when the sandbox ran, FinishedAt when the last program ended.
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	// ExitCode is that of the first container; set at the end.
	ExitCode *int `json:"exitCode,omitempty"`
	// Timings is the split of the latest start.
	Timings Timings `json:"timings,omitzero"`
}

// Timings splits the start of an instance, in milliseconds. Image and network
// run side by side, so the parts may add up to more than Total.
type Timings struct {
	// Admission: from the request's arrival to the durable record.
	Admission float64 `json:"admissionMs"`
	// Image: until every image is on disk.
	Image float64 `json:"imageMs"`
	// Network: until the NIC exists; 0 with a standby sandbox.
	Network float64 `json:"networkMs"`
	// Sandbox: until the sandbox and its agent answer; 0 with a standby sandbox.
	Sandbox float64 `json:"sandboxMs"`
	// Container: from the agent's order to the first program's start.
	Container float64 `json:"containerMs"`
	// FirstOutput: from that start to its first output; 0 if there was none.
	FirstOutput float64 `json:"firstOutputMs"`
	// Total: from the request's arrival to the first program's start.
	Total float64 `json:"totalMs"`
}

// ContainerStatus is what cis knows of one container.
type ContainerStatus struct {
	Name string `json:"name"`
	// Image as asked for, ImageID the digest that runs.
	Image   string         `json:"image"`
	ImageID string         `json:"imageID,omitempty"`
	State   ContainerState `json:"state"`
	// LastState is the state before the latest restart.
	LastState    ContainerState `json:"lastState,omitzero"`
	Ready        bool           `json:"ready"`
	Started      bool           `json:"started"`
	RestartCount int            `json:"restartCount"`
	// User that the program begins as; nil before it was known.
	User *ContainerUser `json:"user,omitempty"`
}

// ContainerUser is who a program begins as.
type ContainerUser struct {
	UID                int64   `json:"uid"`
	GID                int64   `json:"gid"`
	SupplementalGroups []int64 `json:"supplementalGroups,omitempty"`
}

// ContainerState has exactly one of its members set.
type ContainerState struct {
	Waiting    *StateWaiting    `json:"waiting,omitempty"`
	Running    *StateRunning    `json:"running,omitempty"`
	Terminated *StateTerminated `json:"terminated,omitempty"`
}

// StateWaiting is a container that does not run yet, or not now.
type StateWaiting struct {
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// StateRunning is a container whose program runs.
type StateRunning struct {
	StartedAt time.Time `json:"startedAt"`
}

// StateTerminated is a container whose program has ended.
type StateTerminated struct {
	// ExitCode is 128 plus the signal for a program that a signal ended.
	ExitCode   int       `json:"exitCode"`
	Signal     int       `json:"signal,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Message    string    `json:"message,omitempty"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt"`
}

// The reasons of states and events, Kubernetes' words where it has them.
const (
	ReasonContainerCreating = "ContainerCreating"
	ReasonPodInitializing   = "PodInitializing"
	ReasonCompleted         = "Completed"
	ReasonError             = "Error"
	ReasonOOMKilled         = "OOMKilled"
	ReasonDeadlineExceeded  = "DeadlineExceeded"
	ReasonCrashLoopBackOff  = "CrashLoopBackOff"
	ReasonErrImagePull      = "ErrImagePull"
	ReasonImagePullBackOff  = "ImagePullBackOff"
	ReasonErrImageNeverPull = "ErrImageNeverPull"
	ReasonInvalidImageName  = "InvalidImageName"
	ReasonCreateError       = "CreateContainerError"
	ReasonRunError          = "RunContainerError"
	// ReasonFailedMount: a volume could not be mounted.
	ReasonFailedMount    = "FailedMount"
	ReasonPostStartError = "PostStartHookError"
	ReasonSandboxLost    = "SandboxLost"
	ReasonStopped        = "Stopped"
	// ReasonBudgetSpent: stopped, since the account's budget is used up.
	ReasonBudgetSpent = "BudgetSpent"
	// ReasonNotStarted: something before it failed, so it was never started.
	ReasonNotStarted = "NotStarted"
)
