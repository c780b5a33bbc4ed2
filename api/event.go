package api

import "time"

// EventType tells news from trouble.
type EventType string

// The event types, as in Kubernetes.
const (
	EventNormal  EventType = "Normal"
	EventWarning EventType = "Warning"
)

// Event is one step in the life of an instance. Equal events (same instance,
// container, reason and message) are counted, not repeated.
type Event struct {
	ID int64 `json:"id"`
	// Account that owns the instance.
	Account    string    `json:"account,omitempty"`
	InstanceID string    `json:"instanceID"`
	Instance   string    `json:"instance"`
	Container  string    `json:"container,omitempty"`
	Type       EventType `json:"type"`
	// Reason is one word: Pulling, Pulled, Created, Started, Killing, BackOff, …
	Reason    string    `json:"reason"`
	Message   string    `json:"message"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Count     int       `json:"count"`
}
