package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// edge keeps account of what of the host leads into VPCs: ports and public addresses.
type edge struct {
	mu        sync.Mutex
	nat       map[byte]hostNAT // by family
	cidrs     *contents
	bySocket  map[socket][]*publication  // of every address of the host
	byNIC     map[string][]*publication  // by NIC id
	addresses map[netip.Addr]*publicAddr // public addresses
}

// hostNAT is what the host's sets and maps of one family hold.
type hostNAT struct{ ports, anyPorts, public *contents }

// vpcNAT is what a VPC's maps of one family hold.
type vpcNAT struct{ linkPorts, public, private *contents }

func newEdge() edge {
	nat := map[byte]hostNAT{}
	for _, f := range families {
		nat[f.number] = hostNAT{contentsOf(f.portsMap()), contentsOf(f.anyPortsMap()), contentsOf(f.publicSet())}
	}
	return edge{
		nat: nat, cidrs: contentsOf(cidrsSet), bySocket: map[socket][]*publication{}, byNIC: map[string][]*publication{}, addresses: map[netip.Addr]*publicAddr{},
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
		nat[f.number] = vpcNAT{contentsOf(f.linkPortsMap()), contentsOf(f.publicMap()), contentsOf(f.privateMap())}
	}
	return nat
}

// end is the VPC's address on the uplink; the zero Addr for a family that it has not.
func (v *vpc) end(f family) netip.Addr {
	if f.number == inet4.number {
		return v.slot.Next()
	}
	return netip.Addr{}
}

func (n NIC) addressIn(f family) netip.Addr {
	if f.number == inet4.number {
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
		if err := v.rules.read(v.table, nat.linkPorts, nat.public, nat.private); err != nil {
			return err
		}
	}
	return nil
}

// joinUplink and partUplink let clients of the uplink's VPC whose address is in its CIDR come
// as the host: the VPC has no way back to them.
func (m *Manager) joinUplink(link string, cidr netip.Prefix) error {
	return m.setRanges(link, linkRange(link, cidr))
}

func (m *Manager) partUplink(link string) error { return m.setRanges(link) }

func (m *Manager) setRanges(link string, keys ...string) error {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	c := m.edge.cidrs
	var edits []edit
	for key := range c.have {
		if strings.HasPrefix(key, string(ifKey(link))) && !slices.Contains(keys, key) {
			edits = append(edits, c.del(key))
		}
	}
	for _, key := range keys {
		edits = append(edits, c.put(key, ""))
	}
	return m.rules.edit(m.cfg.Prefix, edits...)
}

// expose makes the NIC's ports and public addresses lead to it, and nothing else. What
// is so already stays untouched.
func (m *Manager) expose(v *vpc, n NIC) error {
	m.edge.mu.Lock()
	defer m.edge.mu.Unlock()
	if err := m.publish(v, n); err != nil {
		return fmt.Errorf("publish ports: %w", err)
	}
	if err := m.bindPublic(v, n); err != nil {
		return fmt.Errorf("bind public addresses: %w", err)
	}
	return nil
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
		if w, ok := wanted[id]; !ok || !w.same(all[0].nic) {
			others[id] = all[0].vpc
		}
	}
	for _, a := range m.edge.addresses {
		if w, ok := wanted[a.nic.ID]; !ok || !w.same(a.nic) {
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
	wanted := map[*contents]map[string]bool{}
	note := func(edits []edit) {
		for _, d := range edits {
			if wanted[d.in] == nil {
				wanted[d.in] = map[string]bool{}
			}
			wanted[d.in][d.key] = true
		}
	}
	for _, all := range e.byNIC {
		for _, p := range all {
			note(p.hostEdits(e))
			note(p.vpcEdits())
		}
	}
	for _, a := range e.addresses {
		note(a.hostEdits(e))
		note(a.vpcEdits())
	}
	stale := func(cs ...*contents) (edits []edit) {
		for _, c := range cs {
			for key := range c.have {
				if !wanted[c][key] {
					edits = append(edits, c.del(key))
				}
			}
		}
		return edits
	}
	errs := []error{m.sweepPublic()}
	links := map[string]bool{}
	for id := range m.vpcs {
		links[string(ifKey(uplinkHostName(m.cfg.Prefix, id)))] = true
	}
	var host []edit
	for key := range e.cidrs.have {
		if !links[key[:unix.IFNAMSIZ]] {
			host = append(host, e.cidrs.del(key))
		}
	}
	for _, nat := range e.nat {
		host = append(host, stale(nat.ports, nat.anyPorts, nat.public)...)
	}
	errs = append(errs, m.rules.edit(m.cfg.Prefix, host...))
	for _, v := range m.vpcs {
		for _, nat := range v.nat {
			errs = append(errs, v.rules.edit(v.table, stale(nat.linkPorts, nat.public, nat.private)...))
		}
	}
	return errors.Join(errs...)
}
