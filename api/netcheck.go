package api

import (
	"net/netip"
	"time"
)

// NetworkCheck asks whether one end may connect to a port of another.
type NetworkCheck struct {
	// From is an instance, by name or ID.
	From string `json:"from"`
	// To is an instance, by name or ID, or an IP address.
	To string `json:"to"`
	// Port is 1 to 65535.
	Port int `json:"port"`
	// Protocol is tcp (default) or udp.
	Protocol Protocol `json:"protocol,omitempty"`
}

// NetworkVerdict is what the rules say about a NetworkCheck, and what a try has shown.
type NetworkVerdict struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Address  string   `json:"address"` // that was tried
	Port     int      `json:"port"`
	Protocol Protocol `json:"protocol"`
	// Allowed: every step lets it pass.
	Allowed bool `json:"allowed"`
	// Steps on the way, in order; the first that stops it is the last.
	Steps []NetworkStep `json:"steps"`
	// Tried is how a try from inside From ended: connected, refused (the other side
	// answered that nothing listens), answered (udp), no answer, unreachable, or
	// not tried.
	Tried TryResult `json:"tried"`
	// Detail says more of the try.
	Detail string `json:"detail,omitempty"`
}

// NetworkStep is one decision on a packet's way.
type NetworkStep struct {
	Allowed bool `json:"allowed"`
	// By is what decided: a rule, or the lack of one.
	By string `json:"by"`
}

// TryResult is how a try to connect ended.
type TryResult string

// The results of a try.
const (
	TryConnected   TryResult = "connected"
	TryRefused     TryResult = "refused"
	TryAnswered    TryResult = "answered"
	TryNoAnswer    TryResult = "no answer"
	TryUnreachable TryResult = "unreachable"
	TryNot         TryResult = "not tried"
)

// Flow is traffic of a VPC that was seen: who talked to whom.
type Flow struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	// SourceInstance and DestinationInstance are the names of those that have the
	// addresses now, if any.
	SourceInstance      string `json:"sourceInstance,omitempty"`
	DestinationInstance string `json:"destinationInstance,omitempty"`
	Protocol            string `json:"protocol"`
	Port                int    `json:"port,omitempty"`
	// Allowed, or dropped.
	Allowed bool `json:"allowed"`
	// Connections counts them; of dropped ones the packets.
	Connections int64     `json:"connections"`
	LastSeen    time.Time `json:"lastSeen,omitzero"`
}

// Default fills in what the request leaves out.
func (n *NetworkCheck) Default() { setDefault(&n.Protocol, ProtocolTCP) }

// Validate checks the request.
func (n *NetworkCheck) Validate() error {
	var c checker
	c.check(isDNSLabel(n.From), "from", "must be the name or ID of an instance")
	_, err := netip.ParseAddr(n.To)
	c.check(err == nil || isDNSLabel(n.To), "to", "must be the name or ID of an instance, or an IP address")
	c.between(int64(n.Port), 1, 65535, "port")
	oneOf(&c, n.Protocol, "protocol", ProtocolTCP, ProtocolUDP)
	return Join(c.mistakes)
}
