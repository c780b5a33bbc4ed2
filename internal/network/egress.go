package network

import "cis/api"

// EgressMode says what may leave a VPC for the outside.
type EgressMode uint8

const (
	EgressOn    EgressMode = iota // everything
	EgressOff                     // nothing
	EgressRules                   // what Egress.Allow lets pass
)

func (m EgressMode) String() string {
	switch m {
	case EgressOff:
		return "off"
	case EgressRules:
		return "rules"
	}
	return "on"
}

// Egress is what may leave a VPC, whatever the security groups of the sender let pass.
type Egress struct {
	Mode EgressMode
	// Allow is what passes in EgressRules. In every mode but EgressOff, a rule whose Peer
	// is one address opens that address even if it is guarded: one of the host's own, or
	// link-local. A wider Peer opens none of them, so that leave to go anywhere is not
	// leave to enter the host.
	Allow []Rule
}

func (e Egress) check() error {
	if e.Mode > EgressRules {
		return api.FieldError("egress.mode", "there is no mode %d", e.Mode)
	}
	for _, r := range e.Allow {
		if r.Group != "" {
			return api.FieldError("egress.allow", "a rule of a VPC is for addresses, not for group %s", r.Group)
		}
	}
	return checkRules("egress.allow", e.Allow)
}
