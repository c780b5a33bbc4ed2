package network

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"cis/api"
)

// Endpoint is one end of traffic: a NIC or, without one, an address.
type Endpoint struct {
	// NIC is the id of an attached NIC.
	NIC string
	// Address is one of the NIC's, or the zero Addr for its IPv4 address; without a NIC,
	// any address. That of a NIC of the other end's VPC stands for this NIC.
	Address netip.Addr
}

// Verdict is what one side says about traffic, and why.
type Verdict struct {
	Allowed bool
	// By names the rule, or the lack of one: "egress rule 2 of sg-a", "ingress: no rule
	// of sg-a, sg-b matches", "egress is off in vpc-a".
	By string
	// VPC is the other one where its rules decide, on the way in by a public address.
	VPC string
}

// packet is the first of a connection.
type packet struct {
	source, destination netip.Addr
	protocol            Protocol
	icmp                uint16 // of ICMP: the type, and in the lower byte the code
	port                uint16
	translated          bool // it was sent to another address
}

// Check says what would become of traffic by what the Manager was told, and by which
// rules: first what the sender's side says, then the receiver's. Only if all verdicts
// allow it does it pass. For ICMP the port is the type, with the code in the lower byte.
// It sends nothing, and knows of no packet filter but this package's.
func (m *Manager) Check(ctx context.Context, from, to Endpoint, proto Protocol, port uint16) ([]Verdict, error) {
	verdicts, err := m.check(ctx, from, to, proto, port)
	if err != nil {
		return nil, fmt.Errorf("check traffic: %w", err)
	}
	return verdicts, nil
}

func (m *Manager) check(ctx context.Context, from, to Endpoint, proto Protocol, port uint16) ([]Verdict, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	source, err := m.locate(from)
	if err != nil {
		return nil, err
	}
	destination, err := m.locate(to)
	if err != nil {
		return nil, err
	}
	p := packet{source: source.address, destination: destination.address, protocol: proto, port: port}
	if proto.isICMP() {
		p.icmp, p.port = port, 0
	}
	switch {
	case source.vpc == nil && destination.vpc == nil:
		return nil, api.FieldError("from", "neither end is a NIC")
	case p.source.Is4() != p.destination.Is4():
		return nil, api.FieldError("to", "%s and %s are of different families", p.source, p.destination)
	case source.vpc != nil && destination.vpc != nil && source.vpc != destination.vpc:
		return []Verdict{{By: fmt.Sprintf("%s and %s are separate", source.vpc.ID, destination.vpc.ID)}}, ctx.Err()
	}
	if source.vpc == nil {
		return destination.vpc.verdicts(p), ctx.Err()
	}
	if destination.vpc != nil {
		return source.vpc.verdicts(p), ctx.Err()
	}
	verdicts, err := m.checkOut(source.vpc, p)
	if err == nil {
		err = ctx.Err()
	}
	return verdicts, err
}

// checkOut is check for what a NIC of the VPC sends to an address.
func (m *Manager) checkOut(v *vpc, p packet) ([]Verdict, error) {
	if p.destination == Gateway || p.destination == Gateway6 {
		return []Verdict{judgeGateway(p)}, nil
	}
	public, behind := m.publicAt(p.destination)
	if behind != nil && !public.IsValid() {
		return m.checkRouter(v, behind, p), nil
	}
	if behind == v { // it is translated before the rules see it
		p.destination = public
		return v.verdicts(p), nil
	}
	verdicts := v.verdicts(p)
	if behind != nil {
		p.source, p.destination = m.seenAs(v, p.source), public
		for _, theirs := range behind.verdicts(p) {
			theirs.VPC = behind.ID
			verdicts = append(verdicts, theirs)
		}
		return verdicts, nil
	}
	own, err := m.isHosts(p.destination)
	if err != nil {
		return nil, err
	}
	switch o := m.publishedAt(p, own); {
	case o != nil && o.Guarded:
		for _, theirs := range o.vpc.verdicts(o.asHost(p)) {
			if o.vpc != v {
				theirs.VPC = o.vpc.ID
			}
			verdicts = append(verdicts, theirs)
		}
	case o != nil:
		verdicts = append(verdicts, Verdict{Allowed: true, By: fmt.Sprintf("port %d/%s of %s is published", p.port, p.protocol, p.destination)})
	case own && !v.exempts(p):
		verdicts = append(verdicts, Verdict{By: fmt.Sprintf("%s is the host's own, and no egress rule of %s is for it alone", p.destination, v.ID)})
	}
	return verdicts, nil
}

// judgeGateway says what the gateway answers of a NIC, whatever the rules.
func judgeGateway(p packet) Verdict {
	ping := p.destination == Gateway && p.protocol == ICMP && p.icmp>>8 == icmpEcho ||
		p.destination == Gateway6 && p.protocol == ICMPv6 && p.icmp>>8 == icmp6Echo
	names := p.destination == Gateway && (p.protocol == UDP || p.protocol == TCP) && p.port == dnsPort
	if ping || names {
		return Verdict{Allowed: true, By: "the gateway answers it, whatever the rules"}
	}
	return Verdict{By: fmt.Sprintf("the gateway answers nothing but DNS at %s and ping", Gateway)}
}

// checkRouter is checkOut for a public address that leads to a VPC's router. Within the
// VPC its programs translate it before the rules see it.
func (m *Manager) checkRouter(v, behind *vpc, p packet) (verdicts []Verdict) {
	if behind != v {
		verdicts = v.verdicts(p)
	}
	return append(verdicts, Verdict{Allowed: true, By: fmt.Sprintf("%s leads to the router of %s, whose programs lead on", p.destination, behind.ID)})
}

// publicAt returns the private address that a public one stands for, and its VPC, or nil;
// the zero Addr for one that leads to the VPC's router.
func (m *Manager) publicAt(a netip.Addr) (private netip.Addr, of *vpc) {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	if p := m.edge.addresses[a]; p != nil {
		return p.nic.addressIn(p.family()), p.vpc
	}
	return netip.Addr{}, nil
}

// seenAs is the address by which what a NIC sends is seen outside of its VPC: its public
// one or, for IPv4, that of the VPC's end of the uplink.
func (m *Manager) seenAs(v *vpc, private netip.Addr) netip.Addr {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	for _, a := range m.edge.addresses {
		if a.first && a.vpc == v && a.nic.addressIn(a.family()) == private {
			return a.address
		}
	}
	if private.Is4() {
		return v.end(ip4)
	}
	return private
}

// publishedAt is the published port that the destination is, which may be the host's own;
// nil: it is none.
func (m *Manager) publishedAt(p packet, own bool) *publication {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	for _, o := range m.edge.bySocket[socket{p.protocol, p.port}] {
		served := func(f family) bool { return f.number == familyOf(p.destination).number }
		if (o.Host == p.destination || own && !o.Host.IsValid()) && slices.ContainsFunc(o.families(), served) {
			return o
		}
	}
	return nil
}

// asHost is how the VPC sees a packet that an instance sends to the port: as the host's.
func (o *publication) asHost(p packet) packet {
	f := familyOf(p.destination)
	p.source, p.destination, p.port, p.translated = o.vpc.slot, o.nic.addressIn(f), o.Target, true
	if f.number == ip6.number {
		p.source = hostEnd6(o.vpc.CIDR6)
	}
	return p
}

type located struct {
	vpc     *vpc // nil for an address that is no NIC's
	address netip.Addr
}

func (m *Manager) locate(e Endpoint) (located, error) {
	if e.NIC == "" {
		if !e.Address.IsValid() {
			return located{}, api.FieldError("address", "an end is a NIC or an address")
		}
		return located{address: e.Address.Unmap()}, nil
	}
	n := m.known(e.NIC)
	if n == nil {
		return located{}, api.Errorf(api.NotFound, "NIC %s is not attached", e.NIC)
	}
	a := e.Address.Unmap()
	if !a.IsValid() {
		a = n.Address
	}
	if a != n.Address && a != n.Address6 {
		return located{}, api.FieldError("address", "%s is not an address of NIC %s", a, e.NIC)
	}
	return located{m.vpcs[n.VPC], a}, nil
}

// isHosts says whether an address is one of the host's.
func (m *Manager) isHosts(a netip.Addr) (bool, error) {
	all, err := dump(func() ([]netlink.Addr, error) { return m.host.route.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return false, fmt.Errorf("list the host's addresses: %w", err)
	}
	return slices.ContainsFunc(all, func(h netlink.Addr) bool { return prefixOf(h.IPNet).Addr() == a }), nil
}

func allowed(verdicts []Verdict) bool {
	for _, v := range verdicts {
		if !v.Allowed {
			return false
		}
	}
	return true
}

// verdicts is judge for who does not hold policy.mu.
func (v *vpc) verdicts(p packet) []Verdict {
	v.policy.mu.Lock()
	defer v.policy.mu.Unlock()
	return v.judge(p)
}

// judge says of the first packet of a connection what the rules in the kernel say.
// Hold policy.mu.
func (v *vpc) judge(p packet) (verdicts []Verdict) {
	from, to := v.policy.members[p.source], v.policy.members[p.destination]
	if from != nil {
		verdicts = append(verdicts, v.policy.judge(egress, from, to, p.destination, p))
		if to == nil {
			verdicts = append(verdicts, v.judgeOutside(p))
		}
	}
	switch {
	case to == nil && from == nil:
		verdicts = append(verdicts, Verdict{By: "no NIC of " + v.ID + " has the address"})
	case to == nil:
	case v.isHost(p.source) && v.HostReachable:
		verdicts = append(verdicts, Verdict{Allowed: true, By: "the host reaches " + v.ID})
	case v.isHost(p.source) && !p.translated:
		verdicts = append(verdicts, Verdict{By: "the host does not reach " + v.ID})
	default:
		verdicts = append(verdicts, v.policy.judge(ingress, to, from, p.source, p))
	}
	return verdicts
}

// isHost says whether an address is the host's end of the uplink.
func (v *vpc) isHost(a netip.Addr) bool {
	return v.slot.IsValid() && a == v.slot || v.CIDR6.IsValid() && a == hostEnd6(v.CIDR6)
}

// judge says what the groups of a NIC say about a peer, which may be a NIC too.
func (p *policy) judge(d direction, own, peer *profile, address netip.Addr, pk packet) Verdict {
	for _, id := range own.groups {
		for i, r := range p.groups[id].rules(d) {
			if r.matches(pk) && r.isFor(address, peer) {
				return Verdict{Allowed: true, By: fmt.Sprintf("%s rule %d of %s", d, i+1, id)}
			}
		}
	}
	if len(own.groups) == 0 {
		return Verdict{By: fmt.Sprintf("%s: the NIC is in no security group", d)}
	}
	return Verdict{By: fmt.Sprintf("%s: no rule of %s matches", d, strings.Join(own.groups, ", "))}
}

func (r Rule) matches(p packet) bool {
	switch {
	case r.Protocol == ProtocolAny:
		return true
	case r.Protocol != p.protocol:
		return false
	case r.Protocol.isICMP():
		return (r.ICMPType < 0 || r.ICMPType == int(p.icmp>>8)) && (r.ICMPCode < 0 || r.ICMPCode == int(p.icmp&0xff))
	}
	return r.Last == 0 || r.First <= p.port && p.port <= r.Last
}

func (r Rule) isFor(address netip.Addr, peer *profile) bool {
	if r.Group != "" {
		return peer != nil && peer.in(r.Group)
	}
	return !r.Peer.IsValid() || r.Peer.Contains(address)
}

func (v *vpc) judgeOutside(p packet) Verdict {
	if p.destination == Services {
		return Verdict{Allowed: true, By: fmt.Sprintf("%s is in %s itself", Services, v.ID)}
	}
	if v.CIDR.Contains(p.destination) || v.CIDR6.Contains(p.destination) {
		return Verdict{By: fmt.Sprintf("no NIC of %s has %s", v.ID, p.destination)}
	}
	if v.Egress.Mode == EgressOff {
		return Verdict{By: "egress is off in " + v.ID}
	}
	if i := v.Egress.ruleFor(p, true); i >= 0 {
		return Verdict{Allowed: true, By: fmt.Sprintf("egress rule %d of %s", i+1, v.ID)}
	}
	for _, g := range guardedAddrs {
		if g.Contains(p.destination) {
			return Verdict{By: fmt.Sprintf("%s is in %s, and no egress rule of %s is for it alone", p.destination, g, v.ID)}
		}
	}
	if v.Egress.Mode == EgressOn {
		return Verdict{Allowed: true, By: "egress is on in " + v.ID}
	}
	if i := v.Egress.ruleFor(p, false); i >= 0 {
		return Verdict{Allowed: true, By: fmt.Sprintf("egress rule %d of %s", i+1, v.ID)}
	}
	return Verdict{By: fmt.Sprintf("egress: no rule of %s matches", v.ID)}
}

func (v *vpc) exempts(p packet) bool {
	return v.Egress.Mode != EgressOff && v.Egress.ruleFor(p, true) >= 0
}

// ruleFor finds a rule, or -1; only such that are for one address if alone is set.
func (e Egress) ruleFor(p packet, alone bool) int {
	for i, r := range e.Allow {
		if r.matches(p) && r.isFor(p.destination, nil) && (!alone || r.alone()) {
			return i
		}
	}
	return -1
}
