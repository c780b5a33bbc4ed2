package api

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
