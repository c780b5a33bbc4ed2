package api

import "time"

// AuditEntry is one request that changed something, looked into an instance, or was refused
// to its caller.
type AuditEntry struct {
	ID   int64     `json:"id"`
	Time time.Time `json:"time"`
	// Account that was acted for, by User with Key. CallerAccount is the user's own where
	// that is another one.
	Account       string `json:"account"`
	User          string `json:"user"`
	Key           string `json:"key,omitempty"`
	CallerAccount string `json:"callerAccount,omitempty"`
	// From is the address that it came from, or "socket" and the user ID of the process.
	From string `json:"from"`
	// Action is the name of the operation, Object what it was about.
	Action string `json:"action"`
	Object string `json:"object,omitempty"`
	// Result is "ok", or the code of the error; Message is the error.
	Result    string `json:"result"`
	Message   string `json:"message,omitempty"`
	RequestID string `json:"requestID"`
}

// AuditOptions choose audit entries.
type AuditOptions struct {
	// From and To bound the time: From is in it, To is not. Zero: no bound.
	From, To time.Time
	// Since is an ID: only later ones.
	Since int64
	// Limit of a page, 1 to 1000; 0: 500.
	Limit int
}
