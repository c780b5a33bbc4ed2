package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"cis/api"
)

// IPv6 is routed as IPv4 is, with two differences: a VPC's addresses are its own on the
// whole host, so the host routes to them and only the host translates; and nothing is
// configured by itself, so links have no address but those that are set here.

// routerEnd6 is the VPC's end of the uplink; the host's has the gateway's address.
var routerEnd6 = netip.MustParseAddr("fe80::2")

// hostEnd6 and vpcEnd6 are, in the last /64 of the VPC's addresses, what the host and
// the VPC's namespace speak from.
func hostEnd6(cidr netip.Prefix) netip.Addr { return inLast64(cidr, 1) }
func vpcEnd6(cidr netip.Prefix) netip.Addr  { return inLast64(cidr, 2) }

func inLast64(cidr netip.Prefix, last byte) netip.Addr {
	a := cidr.Addr().As16()
	a[6], a[7], a[15] = 0xff, 0xff, last
	return netip.AddrFrom16(a)
}

var uniqueLocal = netip.MustParsePrefix("fc00::/7")

func (m *Manager) checkCIDR6(want VPC) error {
	c := want.CIDR6
	if !c.IsValid() {
		return nil
	}
	if !uniqueLocal.Contains(c.Addr()) || c != c.Masked() || c.Bits() != 48 {
		return api.FieldError("cidr6", "%s is not a /48 of unique local addresses, such as fd12:3456:789a::/48", c)
	}
	for _, o := range m.vpcs {
		if o.ID == want.ID && o.CIDR6.IsValid() && o.CIDR6 != c {
			return api.Errorf(api.Conflict, "VPC %s has CIDR %s, which cannot change to %s", want.ID, o.CIDR6, c).
				WithNext("make another VPC")
		}
		if o.ID != want.ID && o.CIDR6 == c {
			return api.FieldError("cidr6", "VPC %s has %s already", o.ID, c)
		}
	}
	return nil
}

func checkAddress6(v *vpc, a netip.Addr) error {
	if !a.IsValid() {
		return nil
	}
	last64 := netip.PrefixFrom(hostEnd6(v.CIDR6), 64)
	if !v.CIDR6.Contains(a) || last64.Contains(a) {
		return api.FieldError("address6", "%s is not in %s of VPC %s, without its last /64", a, v.CIDR6, v.ID)
	}
	return nil
}

// ensureAddr6 sets an address that is used at once: nobody else on the link could
// have it. It comes without a route to itself as one on the link, which would be one
// more that the kernel keeps for each NIC, in a list.
func ensureAddr6(h *netlink.Handle, link netlink.Link, a netip.Addr) error {
	err := h.AddrReplace(link, &netlink.Addr{IPNet: hostNet(a), Flags: unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE})
	if err != nil {
		return fmt.Errorf("set address %s: %w", a, err)
	}
	return nil
}

// configureNothing keeps a link from giving itself an address, and from sending packets
// to find one. (A sysctl would do it too, but its look-up grows with the number of
// namespaces.)
func configureNothing(h *netlink.Handle, link netlink.Link) error {
	err := ignoring(unix.EAFNOSUPPORT, h.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE))
	if err != nil {
		return fmt.Errorf("turn IPv6 autoconfiguration off: %w", err)
	}
	return nil
}

func nicRoute6(n NIC, v VPC, outer netlink.Link) *netlink.Route {
	return &netlink.Route{LinkIndex: outer.Attrs().Index, Dst: hostNet(n.Address6), Src: vpcEnd6(v.CIDR6).AsSlice()}
}

// ensureOuter6 makes the gateway's address be on the NIC's link and the way to the NIC.
func (v *vpc) ensureOuter6(n NIC, outer netlink.Link) error {
	if !n.Address6.IsValid() {
		return nil
	}
	h := v.space.route
	if err := ensureAddr6(h, outer, Gateway6); err != nil {
		return err
	}
	if err := h.NeighSet(permanent(outer, n.Address6, nicMAC(n.Address))); err != nil {
		return fmt.Errorf("set the NIC's hardware address: %w", err)
	}
	if err := h.RouteReplace(nicRoute6(n, v.VPC, outer)); err != nil {
		return fmt.Errorf("route to NIC: %w", err)
	}
	return nil
}

// ensureInner6 sets the IPv6 part of the end that a sandbox takes over.
func ensureInner6(s *space, eth netlink.Link, a netip.Addr) error {
	if !a.IsValid() {
		return nil
	}
	h := s.route
	err := ensureAddr6(h, eth, a)
	if errors.Is(err, unix.EACCES) { // as where new namespaces have IPv6 turned off
		on := sysctl{"net/ipv6/conf/" + eth.Attrs().Name + "/disable_ipv6", "0"}
		if err = s.within(func() error { return ensureSysctls([]sysctl{on}) }); err == nil {
			err = ensureAddr6(h, eth, a)
		}
	}
	if err != nil {
		return err
	}
	if err := h.NeighSet(permanent(eth, Gateway6, gatewayMAC)); err != nil {
		return fmt.Errorf("set the gateway's hardware address: %w", err)
	}
	return defaultRoute6(h, eth, Gateway6)
}

// defaultRoute6 sends everything to a gateway on the link.
func defaultRoute6(h *netlink.Handle, link netlink.Link, gateway netip.Addr) error {
	onLink := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: hostNet(gateway)}
	if err := h.RouteReplace(onLink); err != nil {
		return fmt.Errorf("route to gateway: %w", err)
	}
	if err := h.RouteReplace(outside6(link, gateway)); err != nil {
		return fmt.Errorf("route by gateway: %w", err)
	}
	return nil
}

func outside6(link netlink.Link, gateway netip.Addr) *netlink.Route {
	return &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(everywhere[false]), Gw: gateway.AsSlice()}
}

// ensureLoopback6 gives the VPC's namespace its address, and makes addresses that no
// NIC has unreachable.
func (v *vpc) ensureLoopback6() error {
	if !v.CIDR6.IsValid() {
		return nil
	}
	if err := ensureAddr6(v.space.route, loopback, vpcEnd6(v.CIDR6)); err != nil {
		return err
	}
	err := v.space.route.RouteReplace(&netlink.Route{LinkIndex: loopback.Index, Dst: ipNet(v.CIDR6), Type: unix.RTN_UNREACHABLE})
	if err != nil {
		return fmt.Errorf("route %s: %w", v.CIDR6, err)
	}
	return nil
}

// ensureUplink6 is the IPv6 part of an uplink that is up.
func (m *Manager) ensureUplink6(v *vpc, host, inner netlink.Link) error {
	if !v.CIDR6.IsValid() {
		return nil
	}
	for _, end := range []struct {
		h          *netlink.Handle
		link       netlink.Link
		own, other netip.Addr
		mac        []byte
	}{
		{m.host.route, host, Gateway6, routerEnd6, uplinkVPCMAC},
		{m.host.route, host, hostEnd6(v.CIDR6), routerEnd6, uplinkVPCMAC},
		{v.space.route, inner, routerEnd6, Gateway6, uplinkHostMAC},
	} {
		if err := ensureAddr6(end.h, end.link, end.own); err != nil {
			return err
		}
		if err := end.h.NeighSet(permanent(end.link, end.other, end.mac)); err != nil {
			return fmt.Errorf("set the other end's hardware address: %w", err)
		}
		onLink := &netlink.Route{LinkIndex: end.link.Attrs().Index, Dst: hostNet(end.other)}
		if err := end.h.RouteReplace(onLink); err != nil {
			return fmt.Errorf("route to the other end: %w", err)
		}
	}
	in := &netlink.Route{
		LinkIndex: host.Attrs().Index, Dst: ipNet(v.CIDR6), Gw: routerEnd6.AsSlice(), Src: hostEnd6(v.CIDR6).AsSlice(),
	}
	if err := m.host.route.RouteReplace(in); err != nil {
		return fmt.Errorf("route from host to VPC: %w", err)
	}
	back := &netlink.Route{LinkIndex: inner.Attrs().Index, Dst: hostNet(hostEnd6(v.CIDR6)), Gw: Gateway6.AsSlice()}
	if err := v.space.route.RouteReplace(back); err != nil {
		return fmt.Errorf("route from VPC to host: %w", err)
	}
	return m.ensureOutside6(v, inner)
}

// ensureOutside6 gives the VPC a way out if the host has one. Without it programs learn
// at once that there is none, and take IPv4.
func (m *Manager) ensureOutside6(v *vpc, inner netlink.Link) error {
	links, err := m.outsideLinks6()
	if err != nil {
		return err
	}
	if len(links) == 0 {
		return ignoring(unix.ESRCH, v.space.route.RouteDel(outside6(inner, Gateway6)))
	}
	err = m.host.within(func() error { return enableForwarding6(m.cfg.StateFile, links) })
	if err != nil {
		return fmt.Errorf("enable IPv6 forwarding: %w", err)
	}
	if err := v.space.route.RouteReplace(outside6(inner, Gateway6)); err != nil {
		return fmt.Errorf("route from VPC to outside: %w", err)
	}
	return nil
}

// outsideLinks6 are the names of the links that the host's IPv6 default routes leave by.
func (m *Manager) outsideLinks6() (names []string, err error) {
	routes, err := dump(func() ([]netlink.Route, error) { return m.host.route.RouteList(nil, netlink.FAMILY_V6) })
	if err != nil {
		return nil, fmt.Errorf("list the host's routes: %w", err)
	}
	for _, r := range routes {
		if r.Type != unix.RTN_UNICAST || r.Dst != nil && prefixOf(r.Dst) != everywhere[false] {
			continue
		}
		link, err := m.host.route.LinkByIndex(r.LinkIndex)
		if err != nil {
			return nil, fmt.Errorf("find the link of a default route: %w", err)
		}
		names = append(names, link.Attrs().Name)
	}
	return names, nil
}

// hasIPv6 says whether the kernel knows IPv6.
func hasIPv6() bool {
	_, err := os.Stat(sysctlDir + "net/ipv6")
	return err == nil
}

// enableForwarding6 turns IPv6 routing on in the thread's namespace, without taking
// from the host what router advertisements gave it by these links: a kernel that
// routes heeds advertisements only where accept_ra is 2.
func enableForwarding6(file string, links []string) error {
	for _, link := range links {
		heed := acceptRA(link)
		now, err := heed.read()
		if err != nil {
			return err
		}
		if now == "1" {
			if err := changeHost(file, heed); err != nil {
				return err
			}
		}
	}
	return changeHost(file, forwarding6)
}

func acceptRA(link string) sysctl { return sysctl{"net/ipv6/conf/" + link + "/accept_ra", "2"} }
