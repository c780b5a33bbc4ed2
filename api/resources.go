package api

import "time"

// Image is one image on disk.
type Image struct {
	// Digest of the platform's manifest, sha256:….
	Digest string `json:"digest"`
	// Refs are the names that lead to it.
	Refs []string `json:"refs"`
	// Size is what it takes on disk, CompressedSize what was fetched.
	Size           Bytes     `json:"size"`
	CompressedSize Bytes     `json:"compressedSize"`
	Created        time.Time `json:"created,omitzero"`
	LastUsed       time.Time `json:"lastUsed"`
	// InUse counts the instances that hold it.
	InUse int `json:"inUse"`
}

// ImagePull asks for an image to be fetched.
type ImagePull struct {
	Ref    string     `json:"ref"`
	Policy PullPolicy `json:"policy,omitempty"` // default Always
	// Auth, when set, is used for the registry of Ref.
	Auth *RegistryAuth `json:"auth,omitempty"`
	// Secrets name pull secrets to try.
	Secrets []string `json:"secrets,omitempty"`
}

// RegistryAuth proves to a registry who asks. Token is a bearer token.
type RegistryAuth struct {
	Registry string `json:"registry,omitempty"` // host[:port]; empty: the image's
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`
}

// Progress is one line of a pull or import in progress.
type Progress struct {
	// Status in words: Resolving, Downloading, Flattening, Done.
	Status string `json:"status"`
	// Layer is the short digest it is about, if any.
	Layer   string `json:"layer,omitempty"`
	Current int64  `json:"current,omitempty"`
	Total   int64  `json:"total,omitempty"`
	// Image is set on the last line of a success, Error on that of a failure.
	Image *Image `json:"image,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// SecretType tells what a secret is for.
type SecretType string

// The secret types.
const (
	// SecretOpaque: keys and values for secret volumes.
	SecretOpaque SecretType = "Opaque"
	// SecretRegistry: key .dockerconfigjson, as docker writes it.
	SecretRegistry SecretType = "kubernetes.io/dockerconfigjson"
)

// Secret holds small private values; they are never shown again.
type Secret struct {
	Name string     `json:"name"`
	Type SecretType `json:"type,omitempty"` // default Opaque
	// Data is base64 in JSON; at most 1 MiB in all. Only ever written.
	Data      map[string][]byte `json:"data,omitempty"`
	Keys      []string          `json:"keys,omitempty"` // shown instead of Data
	CreatedAt time.Time         `json:"createdAt,omitzero"`
}

// Console is what the kernel of an instance that is a VM has printed.
type Console struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Text is the last of it, 64 KiB at most.
	Text string `json:"text"`
}

// Stats is what an instance uses now.
type Stats struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	Time time.Time `json:"time"`
	// CPUSeconds used since the start; CPU is cores in use since the last sample.
	CPUSeconds float64 `json:"cpuSeconds"`
	CPU        float64 `json:"cpu"`
	CPULimit   CPU     `json:"cpuLimit"`
	// Memory of the whole sandbox, without page cache that would be given up first.
	Memory      Bytes `json:"memory"`
	MemoryLimit Bytes `json:"memoryLimit"`
	Pids        int64 `json:"pids"`
	PidsLimit   int64 `json:"pidsLimit"`
	RxBytes     int64 `json:"rxBytes"`
	TxBytes     int64 `json:"txBytes"`
	// Containers are those that run. What they use leaves out what the sandbox itself needs.
	Containers []ContainerStats `json:"containers,omitempty"`
}

// ContainerStats is what a container uses now.
type ContainerStats struct {
	Name string `json:"name"`
	// StartedAt is when the program was started that runs now.
	StartedAt time.Time `json:"startedAt"`
	// CPUSeconds used since then; CPU is cores in use since the last sample.
	CPUSeconds float64 `json:"cpuSeconds"`
	CPU        float64 `json:"cpu"`
	// Memory is the working set: without page cache that would be given up first.
	// MemoryUsage is all of it, MemoryRSS the pages of the programs' own; the latter is not
	// known with gVisor.
	Memory      Bytes `json:"memory"`
	MemoryUsage Bytes `json:"memoryUsage"`
	MemoryRSS   Bytes `json:"memoryRSS,omitzero"`
	// Disk is what the writable layer takes.
	Disk Bytes `json:"disk"`
}

// Traffic is what the NIC of an instance has carried.
type Traffic struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	VPC  string `json:"vpc"`
	// RxBytes came to the instance, TxBytes from it.
	RxBytes int64 `json:"rxBytes"`
	TxBytes int64 `json:"txBytes"`
}

// Size is a named amount of cpu and memory that the operator offers.
type Size struct {
	Name   string `json:"name"`
	CPU    CPU    `json:"cpu"`
	Memory Bytes  `json:"memory"`
}

// Version of the server and of what it speaks.
type Version struct {
	Version string `json:"version"`
	// API is the newest version of the API: "v1".
	API string `json:"api"`
	// Go is the version of Go that built the server.
	Go string `json:"go"`
}

// Info describes the server, what the account can have of it and has, and the host.
type Info struct {
	Version string `json:"version"`
	// What is of the host is told to who runs the service alone.
	Host          string        `json:"host,omitempty"`
	Kernel        string        `json:"kernel,omitempty"`
	MachineID     string        `json:"machineID,omitempty"` // see machine-id(5)
	BootID        string        `json:"bootID,omitempty"`    // another one each time the host starts
	CPUs          int           `json:"cpus,omitempty"`
	Memory        Bytes         `json:"memory,omitzero"`
	DataDir       string        `json:"dataDir,omitempty"`
	Capacity      Capacity      `json:"capacity,omitzero"`
	Standby       []StandbyInfo `json:"standby,omitempty"`
	ImagesMaxSize Bytes         `json:"imagesMaxSize,omitzero"`
	HostUsage     HostUsage     `json:"hostUsage,omitzero"`

	DefaultSize Size            `json:"defaultSize"`
	Sizes       []Size          `json:"sizes,omitempty"`
	AnySize     bool            `json:"anySize"`
	Isolations  []IsolationInfo `json:"isolations"`
	Network     NetworkInfo     `json:"network"`
	Instances   map[Phase]int   `json:"instances"`
	Images      int             `json:"images"`
	ImagesSize  Bytes           `json:"imagesSize"`
	// Disks and the sum of their sizes.
	Disks     int   `json:"disks"`
	DisksSize Bytes `json:"disksSize"`
}

// HostUsage is what all that runs on the host uses, and what is left.
type HostUsage struct {
	Time time.Time `json:"time"`
	// CPUSeconds that the processors have worked since the host was started.
	CPUSeconds      float64 `json:"cpuSeconds"`
	Memory          Bytes   `json:"memory"`
	MemoryAvailable Bytes   `json:"memoryAvailable"`
	// Disk is the size of the file system that the server's data is on.
	Disk            Bytes `json:"disk"`
	DiskAvailable   Bytes `json:"diskAvailable"`
	Inodes          int64 `json:"inodes"`
	InodesAvailable int64 `json:"inodesAvailable"`
	// Pids counts processes and threads.
	Pids      int64 `json:"pids"`
	PidsLimit int64 `json:"pidsLimit"`
}

// Capacity is what may be given to instances, and what is given.
type Capacity struct {
	CPU            CPU     `json:"cpu"` // after overcommit
	CPUUsed        CPU     `json:"cpuUsed"`
	CPUOvercommit  float64 `json:"cpuOvercommit"`
	Memory         Bytes   `json:"memory"`
	MemoryUsed     Bytes   `json:"memoryUsed"`
	MemoryReserved Bytes   `json:"memoryReserved"` // kept for the host
}

// IsolationInfo says whether a kind of sandbox works here, and why not.
type IsolationInfo struct {
	Isolation Isolation `json:"isolation"`
	Available bool      `json:"available"`
	Default   bool      `json:"default"`
	Detail    string    `json:"detail"`
}

// StandbyInfo is the state of the standby pool for one size.
type StandbyInfo struct {
	CPU    CPU   `json:"cpu"`
	Memory Bytes `json:"memory"`
	Wanted int   `json:"wanted"`
	Ready  int   `json:"ready"`
	// Held is the memory that the ready ones take.
	Held   Bytes `json:"held"`
	Hits   int64 `json:"hits"`
	Misses int64 `json:"misses"`
	// Paused says why the pool does not refill now, if so.
	Paused string `json:"paused,omitempty"`
}

// NetworkInfo describes the default VPC.
type NetworkInfo struct {
	VPC       string `json:"vpc"`
	CIDR      string `json:"cidr"`
	Gateway   string `json:"gateway"`
	Used      int    `json:"used"`
	Available int    `json:"available"`
}

// List is one page of a list. Continue, if set, asks for the next page.
type List[T any] struct {
	Items    []T    `json:"items"`
	Continue string `json:"continue,omitempty"`
	// Revision of the record when the page was read; a watch may go on from it.
	Revision int64 `json:"revision,omitempty"`
}

// WatchEvent is one line of a watch.
type WatchEvent[T any] struct {
	// Type is ADDED, MODIFIED or DELETED; ERROR on the last line of a watch that failed.
	Type   string `json:"type"`
	Object T      `json:"object,omitzero"`
	// Error says why the watch failed.
	Error *Error `json:"error,omitempty"`
}

// The types of a WatchEvent.
const (
	WatchAdded    = "ADDED"
	WatchModified = "MODIFIED"
	WatchDeleted  = "DELETED"
	WatchError    = "ERROR"
)

// CreateInstance is the body of a create request: the spec and what is not part of it.
type CreateInstance struct {
	InstanceSpec
	// ClientToken makes the request idempotent: the same token with the same spec
	// gives the same instance for 24 hours. At most 64 characters.
	ClientToken string `json:"clientToken,omitempty"`
	// RegistryAuth is used for this instance's pulls and never stored in clear
	// view of others.
	RegistryAuth *RegistryAuth `json:"registryAuth,omitempty"`
	// RemoveAfter removes the record when the instance ends (run --rm).
	RemoveAfter bool `json:"removeAfter,omitempty"`
}

// ExecRequest runs a command in a running container.
type ExecRequest struct {
	// Container by name; empty: the first.
	Container  string   `json:"container,omitempty"`
	Command    []string `json:"command"`
	Env        []EnvVar `json:"env,omitempty"`
	WorkingDir string   `json:"workingDir,omitempty"`
	User       string   `json:"user,omitempty"`
	TTY        bool     `json:"tty,omitempty"`
	Stdin      bool     `json:"stdin,omitempty"`
}

// LogOptions choose what of a container's output is wanted.
type LogOptions struct {
	Container  string
	Follow     bool
	Previous   bool
	Timestamps bool
	// Tail is the number of last lines; negative: all.
	Tail int
	// Since leaves out what is older; zero: nothing.
	Since time.Time
}
