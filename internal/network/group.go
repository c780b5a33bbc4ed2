package network

import (
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"cis/api"
)

// Protocol is the number of a transport protocol, or ProtocolAny.
type Protocol uint8

const (
	ProtocolAny Protocol = 0
	ICMP        Protocol = unix.IPPROTO_ICMP
	TCP         Protocol = unix.IPPROTO_TCP
	UDP         Protocol = unix.IPPROTO_UDP
	ICMPv6      Protocol = unix.IPPROTO_ICMPV6
	SCTP        Protocol = unix.IPPROTO_SCTP
)

func (p Protocol) String() string {
	switch p {
	case ProtocolAny:
		return "any"
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMPv6:
		return "icmpv6"
	case SCTP:
		return "sctp"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

func (p Protocol) hasPorts() bool { return p == TCP || p == UDP || p == SCTP }
func (p Protocol) isICMP() bool   { return p == ICMP || p == ICMPv6 }

// Rule lets traffic pass. A connection that one packet was let through for is let
// through in both directions, with the errors about it.
type Rule struct {
	// Protocol is ProtocolAny or one of the others.
	Protocol Protocol
	// First and Last are the ports of TCP, UDP and SCTP; 0 and 0 for all.
	First, Last uint16
	// ICMPType and ICMPCode are of ICMP and ICMPv6; -1 for any, which the code must be
	// if the type is.
	ICMPType, ICMPCode int
	// Peer holds the sources of an ingress rule, the destinations of an egress rule.
	Peer netip.Prefix
	// Group stands, in place of Peer, for the NICs of this group in the same VPC. A
	// rule with neither is for everyone, in both families.
	Group string
}

// Group is a security group: the traffic that a NIC in it may receive and send.
type Group struct {
	ID              string
	Ingress, Egress []Rule
}

func (g Group) check() error {
	if err := checkID("id", g.ID); err != nil {
		return err
	}
	if err := checkRules("ingress", g.Ingress); err != nil {
		return fmt.Errorf("group %s: %w", g.ID, err)
	}
	if err := checkRules("egress", g.Egress); err != nil {
		return fmt.Errorf("group %s: %w", g.ID, err)
	}
	return nil
}

func checkRules(field string, rules []Rule) error {
	for i, r := range rules {
		if err := r.check(fmt.Sprintf("%s[%d]", field, i)); err != nil {
			return err
		}
	}
	return nil
}

func (r Rule) check(field string) error {
	if r.Protocol != ProtocolAny && !r.Protocol.hasPorts() && !r.Protocol.isICMP() {
		return api.FieldError(field+".protocol", "%s is not any, tcp, udp, icmp, icmpv6 or sctp", r.Protocol)
	}
	if r.First > r.Last || r.Last != 0 && (r.First == 0 || !r.Protocol.hasPorts()) {
		return api.FieldError(field+".ports", "%d to %d are not ports of %s", r.First, r.Last, r.Protocol)
	}
	if r.Protocol.isICMP() && (r.ICMPType < -1 || r.ICMPType > 255 || r.ICMPCode < -1 || r.ICMPCode > 255) {
		return api.FieldError(field+".icmpType", "type %d and code %d are not between 0 and 255, or -1", r.ICMPType, r.ICMPCode)
	}
	if r.Protocol.isICMP() && r.ICMPType == -1 && r.ICMPCode != -1 {
		return api.FieldError(field+".icmpCode", "a code needs a type")
	}
	if r.Peer.IsValid() && r.Group != "" {
		return api.FieldError(field, "a rule is for addresses or for a group, not both")
	}
	if r.Peer != r.Peer.Masked() || r.Peer.Addr().Is4In6() {
		return api.FieldError(field+".cidr", "%s is not a network: its host bits are not zero", r.Peer)
	}
	if r.Group != "" {
		return checkID(field+".securityGroup", r.Group)
	}
	return nil
}

// SetGroups makes these the security groups of a VPC, at once: no packet meets some of
// the old rules and some of the new. Connections that stay allowed go on, others are
// cut. A group that a NIC is in cannot be left out.
func (m *Manager) SetGroups(ctx context.Context, vpcID string, groups []Group) error {
	m.life.RLock()
	defer m.life.RUnlock()
	v, err := m.vpc(vpcID)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = v.setGroups(groups)
	}
	if err != nil {
		return fmt.Errorf("set security groups of VPC %s: %w", vpcID, err)
	}
	return nil
}

func (v *vpc) setGroups(groups []Group) error {
	p := v.policy
	p.mu.Lock()
	defer p.mu.Unlock()
	undo, err := p.setGroups(groups)
	if err != nil {
		return err
	}
	contents, err := p.contents()
	if err == nil {
		err = v.keep(contents...)
	}
	if err != nil {
		undo()
		return err
	}
	if len(p.members) == 0 {
		return nil // nor a connection: looking at those of the whole host takes a while
	}
	return v.cut()
}
