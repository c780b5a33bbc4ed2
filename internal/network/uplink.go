package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/api"
)

// ensureUplink joins the VPC to the host: the veth pair, its addresses, the VPC's
// way out, the host's rules for the link and, for a VPC that is HostReachable, its
// way in.
func (m *Manager) ensureUplink(v *vpc, wasReachable bool) error {
	name := uplinkHostName(m.cfg.Prefix, v.ID)
	// First the rules, so that the link never carries a packet without them.
	if err := m.setUplinkCIDR(v.VPC); err != nil {
		return fmt.Errorf("admit uplink: %w", err)
	}
	host, inner, err := m.uplinkPair(v, name)
	if err != nil {
		return fmt.Errorf("make uplink: %w", err)
	}
	if err := m.switchIPv6(name, v.CIDR6.IsValid()); err != nil {
		return err
	}
	if err := m.openLoopback(name); err != nil {
		return err
	}
	if err := m.pickSlot(v, host, inner); err != nil {
		return err
	}
	vpcEnd := v.slot.Next()
	if err := setEnd(m.host.route, host, v.slot, vpcEnd, uplinkVPCMAC); err != nil {
		return fmt.Errorf("set the host's end of the uplink: %w", err)
	}
	if err := setEnd(v.space.route, inner, vpcEnd, v.slot, uplinkHostMAC); err != nil {
		return fmt.Errorf("set the VPC's end of the uplink: %w", err)
	}
	if err := m.ensureUplink6(v, host, inner); err != nil {
		return err
	}
	if err := awaitCarrier(m.host.route, host); err != nil {
		return fmt.Errorf("bring uplink up: %w", err)
	}
	out := &netlink.Route{LinkIndex: inner.Attrs().Index, Dst: ipNet(netip.PrefixFrom(netip.IPv4Unspecified(), 0)), Gw: v.slot.AsSlice()}
	if err := v.space.route.RouteReplace(out); err != nil {
		return fmt.Errorf("route from VPC to outside: %w", err)
	}
	in := &netlink.Route{LinkIndex: host.Attrs().Index, Dst: ipNet(v.CIDR), Gw: vpcEnd.AsSlice(), Src: v.slot.AsSlice()}
	switch {
	case v.HostReachable:
		err = m.host.route.RouteReplace(in)
	case wasReachable || m.hasRoute(in):
		err = ignoring(unix.ESRCH, m.host.route.RouteDel(in))
	}
	if err != nil {
		return fmt.Errorf("route from host to VPC: %w", err)
	}
	return nil
}

// uplinkPair finds or makes the two ends. A pair of which anything is missing or
// foreign is made anew.
func (m *Manager) uplinkPair(v *vpc, name string) (host, inner netlink.Link, err error) {
	if host, err = findLink(m.host.route, name); err != nil {
		return nil, nil, err
	}
	if inner, err = findLink(v.space.route, uplinkName); err != nil {
		return nil, nil, err
	}
	if host != nil && host.Attrs().Alias != "" && host.Attrs().Alias != uplinkAlias(v.ID) {
		return nil, nil, api.Errorf(api.Conflict, "link %s belongs to %q", name, host.Attrs().Alias).
			WithNext("give the VPC another id")
	}
	if host != nil && inner != nil && host.Attrs().Alias != "" && host.Attrs().ParentIndex == inner.Attrs().Index {
		return host, inner, nil
	}
	if err := errors.Join(deleteLink(m.host.route, host), deleteLink(v.space.route, inner)); err != nil {
		return nil, nil, err
	}
	return m.makeUplink(v, name)
}

func (m *Manager) makeUplink(v *vpc, name string) (host, inner netlink.Link, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = name, uplinkHostMAC, m.mtu
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: uplinkName, PeerHardwareAddr: uplinkVPCMAC, PeerMTU: uint32(m.mtu),
		PeerTxQLen: -1, PeerNamespace: netlink.NsFd(v.space.fd),
	}
	if err := m.host.route.LinkAdd(pair); err != nil {
		return nil, nil, err
	}
	if inner, err = v.space.route.LinkByName(uplinkName); err != nil {
		return nil, nil, err
	}
	if err := configureNothing(m.host.route, pair); err != nil {
		return nil, nil, err
	}
	// The alias comes last: a link without it is half made.
	return pair, inner, m.host.route.LinkSetAlias(pair, uplinkAlias(v.ID))
}

// switchIPv6 turns IPv6 on or off at the host's end.
func (m *Manager) switchIPv6(link string, on bool) error {
	disable := sysctl{"net/ipv6/conf/" + link + "/disable_ipv6", "1"}
	if on {
		disable.value = "0"
	}
	return m.host.within(func() error { return ensureSysctls([]sysctl{disable}) })
}

// openLoopback lets what comes from loopback leave by the uplink, to a published port.
// What claims to come from there, or wants to go there, the guard drops.
func (m *Manager) openLoopback(link string) error {
	open := sysctl{"net/ipv4/conf/" + link + "/route_localnet", "1"}
	return m.host.within(func() error { return ensureSysctls([]sysctl{open}) })
}

// setEnd gives one end of an uplink its address, in a /31 with the other end, and
// the other end's hardware address, and brings it up.
func setEnd(h *netlink.Handle, link netlink.Link, own, other netip.Addr, otherMAC net.HardwareAddr) error {
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(link, netlink.FAMILY_V4) })
	if err != nil {
		return err
	}
	want := netip.PrefixFrom(own, 31)
	present := false
	for _, a := range addrs {
		if p := prefixOf(a.IPNet); p == want {
			present = true
		} else if err := h.AddrDel(link, &a); err != nil {
			return err
		}
	}
	if !present {
		if err := h.AddrReplace(link, &netlink.Addr{IPNet: ipNet(want)}); err != nil {
			return err
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return err
	}
	return h.NeighSet(permanent(link, other, otherMAC))
}

// permanent is a neighbour that needs no ARP, nor its like of IPv6.
func permanent(link netlink.Link, a netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	family := unix.AF_INET
	if a.Is6() {
		family = unix.AF_INET6
	}
	return &netlink.Neigh{
		LinkIndex: link.Attrs().Index, Family: family, State: netlink.NUD_PERMANENT,
		IP: a.AsSlice(), HardwareAddr: mac,
	}
}

// pickSlot decides the uplink's addresses: those that it has, on either end, or the
// first free pair of the range.
func (m *Manager) pickSlot(v *vpc, host, inner netlink.Link) error {
	if v.slot.IsValid() && m.cfg.Links.Contains(v.slot) {
		return nil
	}
	all, err := dump(func() ([]netlink.Addr, error) { return m.host.route.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list the host's addresses: %w", err)
	}
	used := map[netip.Addr]bool{}
	for _, a := range all {
		slot := slotOf(prefixOf(a.IPNet).Addr())
		if a.LinkIndex == host.Attrs().Index && m.cfg.Links.Contains(slot) {
			v.slot = slot
			return nil
		}
		used[slot] = true
	}
	for _, o := range m.vpcs {
		used[o.slot] = true
	}
	ends, err := dump(func() ([]netlink.Addr, error) { return v.space.route.AddrList(inner, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list the uplink's addresses: %w", err)
	}
	for _, a := range ends {
		if slot := slotOf(prefixOf(a.IPNet).Addr()); m.cfg.Links.Contains(slot) && !used[slot] {
			v.slot = slot
			return nil
		}
	}
	for slot := m.cfg.Links.Addr(); m.cfg.Links.Contains(slot); slot = slot.Next().Next() {
		if !used[slot] {
			v.slot = slot
			return nil
		}
	}
	return api.Errorf(api.Exhausted, "all addresses for uplinks in %s are in use", m.cfg.Links).
		WithNext("remove VPCs, or configure a larger range for links")
}

// slotOf is the even one of the pair that the address is in.
func slotOf(a netip.Addr) netip.Addr { return netip.PrefixFrom(a, 31).Masked().Addr() }

func (m *Manager) hasRoute(r *netlink.Route) bool {
	have, err := dump(func() ([]netlink.Route, error) {
		return m.host.route.RouteListFiltered(netlink.FAMILY_V4, r, netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
	})
	return err == nil && len(have) > 0
}

// removeUplink removes the pair and the host's rules for it, with or without a VPC
// to it. Its route goes with the link.
func (m *Manager) removeUplink(vpcID string) error {
	name := uplinkHostName(m.cfg.Prefix, vpcID)
	link, err := findLink(m.host.route, name)
	if err == nil {
		err = deleteLink(m.host.route, link)
	}
	if err != nil {
		return fmt.Errorf("remove uplink: %w", err)
	}
	if err := m.closeHost(name); err != nil {
		return fmt.Errorf("close the host: %w", err)
	}
	// Last, for the same reason that it came first.
	if err := m.clearUplinkCIDR(vpcID); err != nil {
		return fmt.Errorf("close the host: %w", err)
	}
	return nil
}

// findLink returns nil if there is no such link.
func findLink(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil, nil
	}
	return link, err
}

// deleteLink deletes a link, which may be nil or gone.
func deleteLink(h *netlink.Handle, link netlink.Link) error {
	if link == nil {
		return nil
	}
	return ignoring(unix.ENODEV, h.LinkDel(link))
}

func ignoring(fine, err error) error {
	if errors.Is(err, fine) {
		return nil
	}
	return err
}
