// Package errand is how cis-agent has things done inside a gVisor sandbox by the program
// that is there for the sandbox's whole life, cis-pause in the root container: starting
// another program for each of them would cost many times as much.
//
// Both sides write JSON, a line for each errand and for each answer. Answers come in the
// order in which errands are done with. What is in the sandbox is not trusted: the agent
// bounds what it reads, and believes no more than that an errand was done.
package errand

import (
	"net/netip"
	"time"

	"cis/internal/agent/fileset"
)

// request is an errand: what of it is set.
type request struct {
	ID int64 `json:"id"`
	// Hostname is to be that of the sandbox.
	Hostname string `json:"hostname,omitempty"`
	// Publish is a directory that shall show Files.
	Publish string         `json:"publish,omitempty"`
	Files   []fileset.File `json:"files,omitempty"`
	// Listen is the pipe of a launch (package launch), whose words are the answer.
	Listen string `json:"listen,omitempty"`
	// Words is a file with a program's last words, which are the answer. It is removed.
	Words string `json:"words,omitempty"`
	// Try is a port whose reach is the answer (package reach).
	Try *attempt `json:"try,omitempty"`
	// Dismiss is the ID of a request to listen that nobody waits for any more. It is not
	// answered itself.
	Dismiss int64 `json:"dismiss,omitempty"`
}

// attempt to reach a port.
type attempt struct {
	UDP  bool           `json:"udp,omitempty"`
	To   netip.AddrPort `json:"to"`
	Wait time.Duration  `json:"wait"`
}

// answer to the request with that ID.
type answer struct {
	ID   int64  `json:"id"`
	Text string `json:"text,omitempty"`
	// Detail of an attempt, whose result is the text.
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// maxAnswer bounds one of them, in bytes, as JSON.
const maxAnswer = 64 << 10
