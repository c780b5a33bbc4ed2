package api

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
