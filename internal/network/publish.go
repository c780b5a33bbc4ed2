package network

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"

	"cis/api"
)

// Port is a port of the host that leads to a port of a NIC, whoever asks: the host
// itself, other machines, other VPCs, the NIC's neighbours and the instance itself. No
// security group need allow it, unless it is Guarded.
//
// The way has two steps, since VPCs may have equal CIDRs and the host has no route to
// most of them: the host translates its address and port to the VPC's end of the
// uplink and a link port, which is the Port's own in its VPC; the VPC translates that
// to the NIC's address and target. The instance sees the client's address, unless the
// client is on the host's loopback or in a VPC: these come as the host's end of the
// uplink. (A TCP client of ::1 is helped by a proxy, and one of UDP there is not served.)
// A client in a VPC takes the way of all that leaves a VPC, so that VPC's
// egress and the client's own groups apply.
type Port struct {
	Protocol Protocol   // TCP or UDP
	Host     netip.Addr // an address of the host; the zero Addr for every one
	HostPort uint16
	Target   uint16 // the port of the NIC
	// Guarded: the groups of the NIC decide who comes in.
	Guarded bool
}

func (p Port) check() error {
	switch {
	case p.Protocol != TCP && p.Protocol != UDP:
		return api.FieldError("ports", "%s ports cannot be published, only tcp and udp", p.Protocol)
	case p.HostPort == 0 || p.Target == 0:
		return api.FieldError("ports", "0 is no port")
	case p.Host.IsValid() && (p.Host.Is4In6() || p.Host.IsUnspecified() || p.Host.Zone() != "" || p.Host == netip.IPv6Loopback()):
		return api.FieldError("ports", "%s is not an address of the host to publish on", p.Host)
	}
	return nil
}

// String is what the Port takes of the host.
func (p Port) String() string {
	on := strconv.Itoa(int(p.HostPort))
	if p.Host.IsValid() {
		on = netip.AddrPortFrom(p.Host, p.HostPort).String()
	}
	return on + "/" + p.Protocol.String()
}

func (p Port) socket() socket { return socket{p.Protocol, p.HostPort} }

// clashes says whether both cannot be published.
func (p Port) clashes(o Port) bool {
	return p.socket() == o.socket() && (!p.Host.IsValid() || !o.Host.IsValid() || p.Host == o.Host)
}

// socket is what one program or NIC can have of one address.
type socket struct {
	protocol Protocol
	port     uint16
}

// publication is a Port that leads to a NIC.
type publication struct {
	Port
	nic  NIC
	vpc  *vpc
	link uint16       // port of the VPC's end of the uplink
	hold *reservation // keeps the host's programs off the port
}

// families of addresses by which the publication can be reached.
func (p *publication) families() []family {
	all := make([]family, 0, 2)
	for _, f := range families {
		served := p.nic.reachedIn(f) && p.vpc.end(f).IsValid()
		if served && (!p.Host.IsValid() || familyOf(p.Host).number == f.number) {
			all = append(all, f)
		}
	}
	return all
}

// hostEdits lead from the host's port to the link port.
func (p *publication) hostChanges(e *edge) (changes []change) {
	for _, f := range p.families() {
		nat := e.nat[f.number]
		in := nat.anyPorts
		if p.Host.IsValid() {
			in = nat.ports
		}
		changes = append(changes, in.put(portKey(p.Protocol, p.Host, p.HostPort), endpointValue(p.vpc.end(f), p.link)))
	}
	return changes
}

// vpcEdits lead from the link port to the NIC. Programs of the router see to what is its own.
func (p *publication) vpcChanges() (changes []change) {
	if p.nic.isRouter() {
		return nil
	}
	for _, f := range p.families() {
		nat := p.vpc.nat[f.number]
		in := nat.linkPorts
		if p.Guarded {
			in = nat.guardedPorts
		}
		changes = append(changes, in.put(
			portKey(p.Protocol, netip.Addr{}, p.link), endpointValue(p.nic.addressIn(f), p.Target)))
	}
	return changes
}

// undone are the changes that take out what others put in, but for what keep puts in.
func undone(changes, keep []change) (out []change) {
	for _, e := range changes {
		if !slices.ContainsFunc(keep, func(k change) bool { return k.in == e.in && k.key == e.key }) {
			out = append(out, e.in.del(e.key))
		}
	}
	return out
}

// publish makes the NIC's ports lead to it, and no others, and returns what it took
// away. If one cannot be had, all stays as it was. Hold edge.
func (m *Manager) publish(v *vpc, n NIC) (gone []*publication, err error) {
	e := &m.edge
	old := e.byNIC[n.ID]
	want, err := m.claimPorts(v, n, old)
	if err != nil {
		return nil, err
	}
	fresh, gone := difference(want, old), difference(old, want)
	if err := m.switchPorts(v, want, gone); err != nil {
		m.release(fresh, gone)
		return nil, err
	}
	e.byNIC[n.ID] = want
	if len(want) == 0 {
		delete(e.byNIC, n.ID)
	}
	m.release(gone, want)
	return gone, nil
}

// difference returns what is in a and not in b.
func difference(a, b []*publication) []*publication {
	return slices.DeleteFunc(slices.Clone(a), func(p *publication) bool { return slices.Contains(b, p) })
}

// claimPorts returns the publications that the NIC shall have: its old ones, where they
// are still wanted, and new ones that nobody else can have from now on.
func (m *Manager) claimPorts(v *vpc, n NIC, old []*publication) (want []*publication, err error) {
	defer func() {
		if err != nil {
			m.release(difference(want, old), old)
		}
	}()
	for i, p := range n.Ports {
		if err := p.check(); err != nil {
			return want, err
		}
		if slices.ContainsFunc(n.Ports[:i], p.clashes) {
			return want, api.FieldError("ports", "%s is there twice", p)
		}
		same := slices.IndexFunc(old, func(o *publication) bool { return o.Port == p && o.vpc == v })
		if same >= 0 {
			want = append(want, old[same])
			continue
		}
		fresh, err := m.claimPort(v, n, p, old)
		if err != nil {
			return want, err
		}
		want = append(want, fresh)
	}
	return want, nil
}

func (m *Manager) claimPort(v *vpc, n NIC, p Port, old []*publication) (*publication, error) {
	pub := &publication{Port: p, nic: n, vpc: v}
	if len(pub.families()) == 0 {
		return nil, api.FieldError("ports", "%s is of a family in which the instance has no address", p.Host)
	}
	for _, o := range m.edge.bySocket[p.socket()] {
		if o.nic.ID != n.ID && p.clashes(o.Port) {
			return nil, api.Errorf(api.Conflict, "port %s of the host is published for %s", o, o.nic.title()).
				WithNext("choose another host port")
		}
	}
	var err error
	if pub.link, err = m.linkPort(v, n, p); err != nil {
		return nil, err
	}
	// A port that only changes its target stays held.
	if i := slices.IndexFunc(old, func(o *publication) bool { return o.hold != nil && o.clashes(p) }); i >= 0 && old[i].Host == p.Host {
		pub.hold = old[i].hold
	} else if pub.hold, err = m.reserve(p, pub.families()); err != nil {
		return nil, err
	}
	v.links[socket{p.Protocol, pub.link}] = pub
	m.edge.bySocket[p.socket()] = append(m.edge.bySocket[p.socket()], pub)
	return pub, nil
}

// linkPort picks a port of the uplink: the one that a server before this one picked,
// or else a free one, the same number if possible.
func (m *Manager) linkPort(v *vpc, n NIC, p Port) (uint16, error) {
	if n.isRouter() {
		return v.routerPort(p)
	}
	f := ip4
	if p.Host.IsValid() {
		f = familyOf(p.Host)
	}
	nat := m.edge.nat[f.number]
	in := nat.anyPorts
	if p.Host.IsValid() {
		in = nat.ports
	}
	if a, port := parseEndpoint(in.have[portKey(p.Protocol, p.Host, p.HostPort)]); a == v.end(f) && v.links[socket{p.Protocol, port}] == nil {
		return port, nil
	}
	for port, tries := p.HostPort, 0; tries < math.MaxUint16; port, tries = port+1, tries+1 {
		if port != 0 && !v.usesLink(p.Protocol, port) {
			return port, nil
		}
	}
	return 0, api.Errorf(api.Exhausted, "VPC %s has no free port for another published one", v.ID)
}

// usesLink says whether something leads on from the link port, be it left from before.
func (v *vpc) usesLink(p Protocol, port uint16) bool {
	used := v.links[socket{p, port}] != nil
	for _, nat := range v.nat {
		key := portKey(p, netip.Addr{}, port)
		_, left := nat.linkPorts.have[key]
		_, leftGuarded := nat.guardedPorts.have[key]
		used = used || left || leftGuarded
	}
	return used
}

// switchPorts lets the wanted publications in and the others out. A VPC's half is there
// whenever the host's half leads to it.
func (m *Manager) switchPorts(v *vpc, want, gone []*publication) error {
	var inHost, inVPC, outHost, outVPC []change
	for _, p := range want {
		inHost, inVPC = append(inHost, p.hostChanges(&m.edge)...), append(inVPC, p.vpcChanges()...)
	}
	for _, p := range gone {
		outHost, outVPC = append(outHost, p.hostChanges(&m.edge)...), append(outVPC, p.vpcChanges()...)
	}
	return errors.Join(
		v.rules.change(v.table, inVPC...),
		m.rules.change(m.cfg.Prefix, append(undone(outHost, inHost), inHost...)...),
		v.rules.change(v.table, undone(outVPC, inVPC)...),
	)
}

// release forgets publications, and lets go of what holds their ports unless others
// took it over.
func (m *Manager) release(gone, others []*publication) {
	for _, p := range gone {
		if at := (socket{p.Protocol, p.link}); p.vpc.links[at] == p {
			delete(p.vpc.links, at)
		}
		all := slices.DeleteFunc(m.edge.bySocket[p.socket()], func(o *publication) bool { return o == p })
		m.edge.bySocket[p.socket()] = all
		if len(all) == 0 {
			delete(m.edge.bySocket, p.socket())
		}
		if !slices.ContainsFunc(others, func(o *publication) bool { return o.hold == p.hold }) {
			p.hold.release()
		}
	}
}

// onHost and inVPC say whether a connection is one that the publication carried, by how
// each side of the uplink sees it.
func (p *publication) onHost(c *netlink.ConntrackFlow) bool {
	return c.Forward.Protocol == uint8(p.Protocol) && c.Forward.DstPort == p.HostPort &&
		c.Reverse.SrcPort == p.link && p.isEnd(c.Reverse.SrcIP)
}

func (p *publication) inVPC(c *netlink.ConntrackFlow) bool {
	return c.Forward.Protocol == uint8(p.Protocol) && c.Forward.DstPort == p.link && p.isEnd(c.Forward.DstIP)
}

func (p *publication) isEnd(ip net.IP) bool {
	return slices.ContainsFunc(p.families(), func(f family) bool { return ip.Equal(p.vpc.end(f).AsSlice()) })
}
