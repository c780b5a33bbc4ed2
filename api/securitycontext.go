package api

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
