package agentpb

// WatchRequest begins a Watch.
type WatchRequest struct {
	// AfterEvent: events with a sequence number up to this one are not sent again.
	AfterEvent uint64 `json:"afterEvent,omitempty"`
}

// LogsRequest begins a Logs.
type LogsRequest struct {
	Container string `json:"container"`
	// Attempt is the RestartCount that the container had while it ran.
	Attempt int `json:"attempt"`
	// Offset is where in the journal to begin.
	Offset int64 `json:"offset"`
}

// PortRequest begins a PortForward.
type PortRequest struct {
	Port uint16 `json:"port"`
}

// CopyRequest begins a CopyOut or CopyIn.
type CopyRequest struct {
	Container string `json:"container"`
	// Path is absolute in the container.
	Path string `json:"path"`
}
