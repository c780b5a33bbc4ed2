package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// nicSpace opens a veth's namespace by what is known of it.
func (m *Manager) nicSpace(nicID string) (*space, error) {
	fd, err := dupFD(m.known(nicID).fd)
	if err != nil {
		return nil, err
	}
	return openSpace(fd)
}

// reopenNIC makes sure that the NIC's namespace, if its kind has one, is open and has
// its name. It says no if the namespace is lost.
func (m *Manager) reopenNIC(n NIC) bool {
	if n.Kind == Tap {
		return true
	}
	name := nicSpaceName(m.cfg.Prefix, n.ID)
	if fd := m.known(n.ID).fd; fd >= 0 {
		if sameSpace(fd, name) {
			return true
		}
		m.log.Warn("naming a NIC's namespace again", "nic", n.ID)
		return rebindSpace(fd, name) == nil
	}
	fd, err := findSpace(name)
	if err != nil {
		return false
	}
	m.setSpace(n.ID, fd)
	return true
}

// setSpace notes a NIC's namespace, which it takes over.
func (m *Manager) setSpace(nicID string, fd int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nics[nicID]
	n.close()
	n.fd = fd
}

// makeVeth is makeNIC for a namespace with one end of a veth pair.
func (m *Manager) makeVeth(v *vpc, n NIC) error {
	m.making <- struct{}{}
	defer func() { <-m.making }()
	name := nicSpaceName(m.cfg.Prefix, n.ID)
	fd, err := createSpace(name)
	if err != nil {
		return err
	}
	m.setSpace(n.ID, fd)
	if err := m.makeLink(v, n, fd); err != nil {
		m.setSpace(n.ID, -1)
		return errors.Join(err, removeSpace(name))
	}
	return nil
}

// makeLink joins a new namespace to the VPC.
func (m *Manager) makeLink(v *vpc, n NIC, fd int) error {
	s, err := m.nicSpace(n.ID)
	if err != nil {
		return err
	}
	defer s.close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = outerName(m.cfg.Prefix, n.ID), gatewayMAC, m.mtu
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: innerName, PeerHardwareAddr: nicMAC(n.Address), PeerMTU: uint32(m.mtu),
		PeerTxQLen: -1, PeerNamespace: netlink.NsFd(fd),
	}
	if err := v.space.route.LinkAdd(pair); err != nil {
		return fmt.Errorf("make link: %w", err)
	}
	return m.complete(v, n, pair, func() error { return ensureInner(s, n) })
}

// renewVeth sets the end that a sandbox takes over anew.
func (m *Manager) renewVeth(n NIC) error {
	s, err := m.nicSpace(n.ID)
	if err != nil {
		return err
	}
	defer s.close()
	return ensureInner(s, n)
}

// loopback has the same index in every namespace (LOOPBACK_IFINDEX in the kernel's
// include/net/flow.h).
var loopback = &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}

// ensureInner sets the end that a sandbox takes over.
func ensureInner(s *space, n NIC) error {
	h := s.route
	if err := h.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	eth, err := h.LinkByName(innerName)
	if err != nil {
		return fmt.Errorf("find %s: %w", innerName, err)
	}
	if err := configureNothing(h, eth); err != nil {
		return err
	}
	if err := h.LinkSetUp(eth); err != nil {
		return fmt.Errorf("bring %s up: %w", innerName, err)
	}
	if err := h.AddrReplace(eth, &netlink.Addr{IPNet: hostNet(n.Address)}); err != nil {
		return fmt.Errorf("set address: %w", err)
	}
	if err := h.NeighSet(permanent(eth, Gateway, gatewayMAC)); err != nil {
		return fmt.Errorf("set the gateway's hardware address: %w", err)
	}
	onLink := &netlink.Route{LinkIndex: eth.Attrs().Index, Dst: hostNet(Gateway), Scope: netlink.SCOPE_LINK}
	if err := h.RouteReplace(onLink); err != nil {
		return fmt.Errorf("route to gateway: %w", err)
	}
	all := &netlink.Route{LinkIndex: eth.Attrs().Index, Dst: ipNet(netip.PrefixFrom(netip.IPv4Unspecified(), 0)), Gw: Gateway.AsSlice()}
	if err := h.RouteReplace(all); err != nil {
		return fmt.Errorf("route by gateway: %w", err)
	}
	return ensureInner6(s, eth, n.Address6)
}
