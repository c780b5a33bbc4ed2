package api

import "time"

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
