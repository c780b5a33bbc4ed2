package api

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
