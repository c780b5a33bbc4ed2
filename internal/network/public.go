package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"cis/api"
)

// A public address is an address of the outside that stands for one NIC, in both
// directions (1:1 NAT). The host routes it to the VPC, which translates it. Where it lies
// in a network that the host is on, the host answers for it there with a proxy entry
// in its neighbour table. It is never given to a link of the host: it would then be
// the host's own, and open every service of the host that listens on all addresses.
// An address in no network of the host has to be routed to the host by others.
type publicAddr struct {
	address netip.Addr
	nic     NIC
	vpc     *vpc
	first   bool // of its NIC and family: what the NIC sends comes from it
}

func (a *publicAddr) family() family { return familyOf(a.address) }

func (a *publicAddr) hostChanges(e *edge) []change {
	return []change{e.nat[a.family().number].public.put(addrKey(a.address), "")}
}

func (a *publicAddr) vpcChanges() []change {
	if a.nic.isRouter() {
		return nil
	}
	nat, private := a.vpc.nat[a.family().number], a.nic.addressIn(a.family())
	changes := []change{nat.toPrivate.put(addrKey(a.address), addrKey(private))}
	if a.first {
		changes = append(changes, nat.toPublic.put(addrKey(private), addrKey(a.address)))
	}
	return changes
}

// bindPublic makes the NIC's public addresses stand for it, and no others, and returns
// what it took away. If one cannot be had, all stays as it was. Hold edge.
func (m *Manager) bindPublic(v *vpc, n NIC) (gone []*publicAddr, err error) {
	want, err := m.claimPublic(v, n)
	if err != nil {
		return nil, err
	}
	for _, a := range m.edge.addresses {
		if a.nic.ID == n.ID && !slices.ContainsFunc(want, func(w *publicAddr) bool { return w.address == a.address }) {
			gone = append(gone, a)
		}
	}
	if len(want)+len(gone) == 0 {
		return nil, nil
	}
	if err := m.switchPublic(v, want, gone); err != nil {
		return nil, err
	}
	for _, a := range want {
		m.edge.addresses[a.address] = a
	}
	for _, a := range gone {
		delete(m.edge.addresses, a.address)
	}
	return gone, nil
}

func (m *Manager) claimPublic(v *vpc, n NIC) (want []*publicAddr, err error) {
	seen := map[byte]bool{}
	for i, a := range n.Public {
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast() || v.CIDR.Contains(a) || v.CIDR6.Contains(a) || m.cfg.Links.Contains(a) {
			return nil, api.FieldError("public", "%s cannot be a public address", a)
		}
		f := familyOf(a)
		if !n.reachedIn(f) || !v.end(f).IsValid() {
			return nil, api.FieldError("public", "%s is of a family in which the instance has no address", a)
		}
		if slices.Contains(n.Public[:i], a) {
			return nil, api.FieldError("public", "%s is there twice", a)
		}
		if have := m.edge.addresses[a]; have != nil && have.nic.ID != n.ID {
			return nil, api.Errorf(api.Conflict, "public address %s stands for %s", a, have.nic.title()).WithNext("unbind it first")
		}
		want = append(want, &publicAddr{address: a, nic: n, vpc: v, first: !seen[f.number]})
		seen[f.number] = true
	}
	if len(want) == 0 {
		return nil, nil
	}
	return want, m.checkNotOwn(want)
}

// checkNotOwn refuses addresses that are the host's own.
func (m *Manager) checkNotOwn(want []*publicAddr) error {
	own, err := dump(func() ([]netlink.Addr, error) { return m.host.route.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list the host's addresses: %w", err)
	}
	for _, a := range want {
		if slices.ContainsFunc(own, func(o netlink.Addr) bool { return prefixOf(o.IPNet).Addr() == a.address }) {
			return api.FieldError("public", "%s is the host's own address", a.address)
		}
	}
	return nil
}

// switchPublic lets the wanted addresses in and the others out, the VPC's half first
// and last.
func (m *Manager) switchPublic(v *vpc, want, gone []*publicAddr) error {
	var inHost, inVPC, outHost, outVPC []change
	for _, a := range want {
		inHost, inVPC = append(inHost, a.hostChanges(&m.edge)...), append(inVPC, a.vpcChanges()...)
	}
	for _, a := range gone {
		outHost, outVPC = append(outHost, a.hostChanges(&m.edge)...), append(outVPC, a.vpcChanges()...)
	}
	errs := []error{
		v.rules.change(v.table, inVPC...),
		m.rules.change(m.cfg.Prefix, inHost...),
	}
	for _, a := range want {
		errs = append(errs, m.routePublic(a))
	}
	for _, a := range gone {
		errs = append(errs, m.unroutePublic(a.address))
	}
	return errors.Join(append(errs,
		m.rules.change(m.cfg.Prefix, undone(outHost, inHost)...),
		v.rules.change(v.table, undone(outVPC, inVPC)...),
	)...)
}

// routePublic leads a public address to its VPC.
func (m *Manager) routePublic(a *publicAddr) error {
	up, err := m.host.route.LinkByName(uplinkHostName(m.cfg.Prefix, a.vpc.ID))
	if err != nil {
		return fmt.Errorf("find uplink: %w", err)
	}
	route := &netlink.Route{LinkIndex: up.Attrs().Index, Dst: hostNet(a.address), Gw: a.vpc.router(a.family()).AsSlice()}
	if err := m.host.route.RouteReplace(route); err != nil {
		return fmt.Errorf("route %s: %w", a.address, err)
	}
	if err := m.answerFor(a.address); err != nil {
		return fmt.Errorf("answer for %s: %w", a.address, err)
	}
	return nil
}

// answerFor makes the host answer for an address on the link in whose network it is. ARP
// needs the proxy entry alone; for IPv6 the link has to allow such answers.
func (m *Manager) answerFor(a netip.Addr) error {
	index, err := m.linkOf(a)
	if err != nil || index == 0 {
		return err
	}
	if a.Is6() {
		link, err := m.host.route.LinkByIndex(index)
		if err != nil {
			return err
		}
		allow := proxyNDP(link.Attrs().Name)
		if err := m.host.within(func() error { return changeHost(m.cfg.StateFile, allow) }); err != nil {
			return err
		}
	}
	return m.host.route.NeighSet(proxyEntry(index, a))
}

func proxyNDP(link string) sysctl { return sysctl{"net/ipv6/conf/" + link + "/proxy_ndp", "1"} }

// proxyEntry makes the host answer on a link for an address that it routes elsewhere.
func proxyEntry(link int, a netip.Addr) *netlink.Neigh {
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	return &netlink.Neigh{LinkIndex: link, Family: family, Flags: netlink.NTF_PROXY, State: netlink.NUD_PERMANENT, IP: a.AsSlice()}
}

// unroutePublic removes the proxy entries and routes of an address, wherever they are.
func (m *Manager) unroutePublic(a netip.Addr) error {
	errs := []error{m.host.dropProxies(func(e netip.Addr, _ int) bool { return e == a })}
	routes, err := m.publicRoutes()
	errs = append(errs, err)
	for _, r := range routes {
		if prefixOf(r.Dst).Addr() == a {
			errs = append(errs, ignoring(unix.ESRCH, m.host.route.RouteDel(&r)))
		}
	}
	return errors.Join(errs...)
}

// publicRoutes lists the host's routes of single addresses over uplinks: all are ours.
func (m *Manager) publicRoutes() (public []netlink.Route, err error) {
	ours, err := m.uplinks()
	if err != nil {
		return nil, err
	}
	routes, err := dump(func() ([]netlink.Route, error) { return m.host.route.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if p := prefixOf(r.Dst); ours[r.LinkIndex] && p.IsValid() && p.IsSingleIP() && len(r.Gw) != 0 {
			public = append(public, r)
		}
	}
	return public, nil
}

// dropProxies removes the proxy entries that match.
func (s *space) dropProxies(match func(a netip.Addr, link int) bool) error {
	entries, err := s.proxies()
	errs := []error{err}
	for _, e := range entries {
		a, _ := netip.AddrFromSlice(e.IP)
		if a = a.Unmap(); match(a, e.LinkIndex) {
			errs = append(errs, ignoring(unix.ENOENT, s.route.NeighDel(proxyEntry(e.LinkIndex, a))))
		}
	}
	return errors.Join(errs...)
}

// cleanProxies removes the proxy entries of the addresses that the host's table names.
func cleanProxies(host *space, rules *tables, prefix string) error {
	e := newEdge()
	if err := e.readHost(rules, prefix); err != nil {
		return err
	}
	return host.dropProxies(func(a netip.Addr, _ int) bool {
		_, ours := e.nat[familyOf(a).number].public.have[addrKey(a)]
		return ours
	})
}

// proxies lists the namespace's proxy entries; see neighbours.
func (s *space) proxies() ([]netlink.Neigh, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(s.fd), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	return dump(func() ([]netlink.Neigh, error) { return h.NeighProxyList(0, netlink.FAMILY_ALL) })
}

// linkOf returns the index of the link on which the host expects the neighbours of an
// address; 0 for none. It goes by routes without a gateway, which a host can have for
// a network in which it has no address.
func (m *Manager) linkOf(a netip.Addr) (link int, err error) {
	links, err := m.uplinks()
	if err != nil {
		return 0, err
	}
	routes, err := dump(func() ([]netlink.Route, error) { return m.host.route.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return 0, fmt.Errorf("list routes: %w", err)
	}
	bits := 0
	for _, r := range routes {
		p := prefixOf(r.Dst)
		onLink := r.Type == unix.RTN_UNICAST && len(r.Gw) == 0 && r.Via == nil && !p.IsSingleIP() && !links[r.LinkIndex]
		if onLink && p.Contains(a) && p.Bits() > bits {
			link, bits = r.LinkIndex, p.Bits()
		}
	}
	return link, nil
}

// uplinks are the indexes of the host's ends of uplinks.
func (m *Manager) uplinks() (map[int]bool, error) {
	links, err := dump(m.host.route.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	ours := map[int]bool{}
	for _, l := range links {
		if ownsLink(m.cfg.Prefix, l, "u") {
			ours[l.Attrs().Index] = true
		}
	}
	return ours, nil
}

// inVPC says whether a connection is one that the address carried, either way.
func (a *publicAddr) inVPC(c *netlink.ConntrackFlow) bool {
	ip := a.address.AsSlice()
	return c.Forward.DstIP.Equal(ip) || c.Reverse.DstIP.Equal(ip)
}

// sweepPublic removes routes and proxy entries of addresses that stand for no NIC. That
// a proxy entry is ours shows in the host's set of public addresses. Hold edge.
func (m *Manager) sweepPublic() error {
	routes, err := m.publicRoutes()
	errs := []error{err}
	for _, r := range routes {
		if m.edge.addresses[prefixOf(r.Dst).Addr()] == nil {
			errs = append(errs, ignoring(unix.ESRCH, m.host.route.RouteDel(&r)))
		}
	}
	ours := map[netip.Addr]int{} // with the link that shall answer
	for _, nat := range m.edge.nat {
		for key := range nat.public.have {
			a, _ := netip.AddrFromSlice([]byte(key))
			ours[a] = 0
			if m.edge.addresses[a] != nil {
				if ours[a], err = m.linkOf(a); err != nil {
					return errors.Join(append(errs, err)...)
				}
			}
		}
	}
	return errors.Join(append(errs, m.host.dropProxies(func(a netip.Addr, link int) bool {
		right, known := ours[a]
		return known && link != right
	}))...)
}
