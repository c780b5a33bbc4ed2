package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// edge keeps account of what of the host leads into VPCs: ports and public addresses.
type edge struct {
	mu        sync.Mutex
	nat       map[byte]hostNAT // by family
	cidrs     *ledger
	bySocket  map[socket][]*publication  // of every address of the host
	byNIC     map[string][]*publication  // by NIC id
	addresses map[netip.Addr]*publicAddr // public addresses
}

// hostNAT is what the host's sets and maps of one family hold.
type hostNAT struct{ ports, anyPorts, public *ledger }

// vpcNAT is what a VPC's maps of one family hold.
type vpcNAT struct{ linkPorts, guardedPorts, toPrivate, toPublic *ledger }

func newEdge() edge {
	nat := map[byte]hostNAT{}
	for _, f := range families {
		nat[f.number] = hostNAT{newLedger(portsSet(f)), newLedger(anyPortsSet(f)), newLedger(publicSet(f))}
	}
	return edge{
		nat: nat, cidrs: newLedger(cidrsSet()), bySocket: map[socket][]*publication{}, byNIC: map[string][]*publication{}, addresses: map[netip.Addr]*publicAddr{},
	}
}

// close lets go of the host's ports. What leads to them stays.
func (e *edge) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, all := range e.byNIC {
		for _, p := range all {
			p.hold.release()
		}
	}
	clear(e.byNIC)
	clear(e.bySocket)
	clear(e.addresses)
}

func newVPCNAT() map[byte]vpcNAT {
	nat := map[byte]vpcNAT{}
	for _, f := range families {
		nat[f.number] = vpcNAT{newLedger(linkPortsSet(f)), newLedger(guardedPortsSet(f)), newLedger(toPrivateSet(f)), newLedger(toPublicSet(f))}
	}
	return nat
}

// end is the VPC's address on the uplink; the zero Addr for a family that it has not.
func (v *vpc) end(f family) netip.Addr {
	switch {
	case f.number == ip4.number:
		return v.slot.Next()
	case v.CIDR6.IsValid():
		return vpcEnd6(v.CIDR6)
	}
	return netip.Addr{}
}

// router is the VPC's address that the host routes over.
func (v *vpc) router(f family) netip.Addr {
	if f.number == ip4.number {
		return v.slot.Next()
	}
	return routerEnd6
}

func (n NIC) addressIn(f family) netip.Addr {
	if f.number == ip4.number {
		return n.Address
	}
	return n.Address6
}

// readHost learns what the host's maps hold.
func (e *edge) readHost(t *tables, table string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, nat := range e.nat {
		if err := t.read(table, nat.ports, nat.anyPorts, nat.public); err != nil {
			return err
		}
	}
	return t.read(table, e.cidrs)
}

// readVPC learns what the VPC's maps hold.
func (e *edge) readVPC(v *vpc) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, nat := range v.nat {
		if err := v.rules.read(v.table, nat.linkPorts, nat.guardedPorts, nat.toPrivate, nat.toPublic); err != nil {
			return err
		}
	}
	return nil
}

// setUplinkCIDR lets clients whose address is in the CIDR of the uplink's VPC come as the
// host: the VPC has no way back to them.
func (m *Manager) setUplinkCIDR(v VPC) error {
	link := uplinkHostName(m.cfg.Prefix, v.ID)
	if v.HostReachable {
		return m.setRanges(link)
	}
	return m.setRanges(link, linkRange(link, v.CIDR))
}

func (m *Manager) clearUplinkCIDR(vpcID string) error {
	return m.setRanges(uplinkHostName(m.cfg.Prefix, vpcID))
}

// setRanges makes these the link's keys in cidrsSet.
func (m *Manager) setRanges(link string, keys ...string) error {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	c := m.edge.cidrs
	var changes []change
	for key := range c.have {
		if strings.HasPrefix(key, string(ifKey(link))) && !slices.Contains(keys, key) {
			changes = append(changes, c.del(key))
		}
	}
	for _, key := range keys {
		changes = append(changes, c.put(key, ""))
	}
	return m.rules.change(m.cfg.Prefix, changes...)
}

// expose makes the NIC's ports and public addresses lead to it, and nothing else. What
// is so already stays untouched.
func (m *Manager) expose(v *vpc, n NIC) error {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	ports, err := m.publish(v, n)
	if err != nil {
		return fmt.Errorf("publish ports: %w", err)
	}
	addrs, err := m.bindPublic(v, n)
	if err != nil {
		err = fmt.Errorf("bind public addresses: %w", err)
	}
	return errors.Join(err, m.cutEdge(v, ports, addrs))
}

// cutEdge ends the connections that ports and addresses carried until now, on both sides
// of the uplink: a datagram of one would go on to whoever has the NIC's address next.
func (m *Manager) cutEdge(v *vpc, ports []*publication, addrs []*publicAddr) error {
	if len(ports)+len(addrs) == 0 {
		return nil
	}
	err := v.space.forgetIf(func(c *netlink.ConntrackFlow) bool {
		return slices.ContainsFunc(ports, func(p *publication) bool { return p.inVPC(c) }) ||
			slices.ContainsFunc(addrs, func(a *publicAddr) bool { return a.inVPC(c) })
	})
	if len(ports) == 0 {
		return err
	}
	return errors.Join(err, m.host.forgetIf(func(c *netlink.ConntrackFlow) bool {
		return slices.ContainsFunc(ports, func(p *publication) bool { return p.onHost(c) })
	}))
}

// hide undoes expose.
func (m *Manager) hide(v *vpc, n NIC) error {
	n.Ports, n.Public = nil, nil
	return m.expose(v, n)
}

// hideOthers hides the NICs that are not wanted where they are.
func (m *Manager) hideOthers(wanted map[string]NIC) error {
	m.edge.mu.Lock()
	others := map[string]*vpc{}
	for id, all := range m.edge.byNIC {
		if w, ok := wanted[id]; !all[0].nic.isRouter() && (!ok || !w.same(all[0].nic)) {
			others[id] = all[0].vpc
		}
	}
	for _, a := range m.edge.addresses {
		if w, ok := wanted[a.nic.ID]; !a.nic.isRouter() && (!ok || !w.same(a.nic)) {
			others[a.nic.ID] = a.vpc
		}
	}
	m.edge.mu.Unlock()
	var errs []error
	for id, v := range others {
		errs = append(errs, m.hide(v, NIC{ID: id, VPC: v.ID}))
	}
	return errors.Join(errs...)
}

// sweep takes out of the host and the VPCs what leads to no NIC: what a crash or a hand
// left.
func (m *Manager) sweep() error {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	e := &m.edge
	wanted := map[*ledger]map[string]bool{}
	note := func(changes []change) {
		for _, d := range changes {
			if wanted[d.in] == nil {
				wanted[d.in] = map[string]bool{}
			}
			wanted[d.in][d.key] = true
		}
	}
	for _, all := range e.byNIC {
		for _, p := range all {
			note(p.hostChanges(e))
			note(p.vpcChanges())
		}
	}
	for _, a := range e.addresses {
		note(a.hostChanges(e))
		note(a.vpcChanges())
	}
	stale := func(cs ...*ledger) (changes []change) {
		for _, c := range cs {
			for key := range c.have {
				if !wanted[c][key] {
					changes = append(changes, c.del(key))
				}
			}
		}
		return changes
	}
	errs := []error{m.sweepPublic(), m.sweepRoutes()}
	links := map[string]bool{}
	for id := range m.vpcs {
		links[string(ifKey(uplinkHostName(m.cfg.Prefix, id)))] = true
	}
	var host []change
	for key := range e.cidrs.have {
		if !links[key[:unix.IFNAMSIZ]] {
			host = append(host, e.cidrs.del(key))
		}
	}
	for _, nat := range e.nat {
		host = append(host, stale(nat.ports, nat.anyPorts, nat.public)...)
	}
	errs = append(errs, m.rules.change(m.cfg.Prefix, host...))
	for _, v := range m.vpcs {
		for _, nat := range v.nat {
			errs = append(errs, v.rules.change(v.table, stale(nat.linkPorts, nat.guardedPorts, nat.toPrivate, nat.toPublic)...))
		}
	}
	return errors.Join(errs...)
}
