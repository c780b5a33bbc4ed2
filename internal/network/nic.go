package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"cis/api"
)

// NIC is a network interface that shall exist.
type NIC struct {
	// ID is unique on the host: 1 to 63 letters, digits, '-', '_' and '.'.
	ID string
	// VPC is the id of the VPC that it is in.
	VPC string
	// Address is in the VPC's CIDR, and no other NIC's.
	Address netip.Addr
}

// Link is what a sandbox needs to know of its NIC.
type Link struct {
	NetNS   string       // path of the namespace that holds the interface
	Name    string       // of the interface in it
	Address netip.Prefix // the NIC's address, as /32
	Gateway netip.Addr   // on the link, in no network of the NIC
	DNS     netip.Addr   // the name server
	Search  string       // the DNS domain to search
	MTU     int          // bytes
}

// nic is a NIC that exists.
type nic struct {
	NIC
	fd int // its namespace, to name it again if someone removes the name; -1 while it is made
}

func (n *nic) close() {
	if n.fd >= 0 {
		unix.Close(n.fd)
	}
}

// Attach makes a NIC: a namespace with one interface, connected to its VPC. A NIC
// that is there stays as it is: its interface may be a running sandbox's, and what
// the sandbox took from the namespace is not put back (see Renew).
func (m *Manager) Attach(ctx context.Context, n NIC) (Link, error) {
	link, err := m.attach(ctx, n)
	if err != nil {
		return Link{}, fmt.Errorf("attach NIC %s: %w", n.ID, err)
	}
	return link, nil
}

func (m *Manager) attach(ctx context.Context, n NIC) (Link, error) {
	if err := checkID("id", n.ID); err != nil {
		return Link{}, err
	}
	m.life.RLock()
	defer m.life.RUnlock()
	unlock, err := m.busy.Lock(ctx, n.ID)
	if err != nil {
		return Link{}, err
	}
	defer unlock()
	v, err := m.vpc(n.VPC)
	if err != nil {
		return Link{}, err
	}
	if err := m.ensureNIC(v, n); err != nil {
		return Link{}, err
	}
	return m.link(v, n), nil
}

// Renew gives the interface of an attached NIC its addresses and routes again, for
// the next sandbox in it: a gVisor sandbox takes them away when it starts. Do not
// call it while a sandbox runs there, since the kernel would answer beside it.
func (m *Manager) Renew(ctx context.Context, nicID string) (Link, error) {
	link, err := m.renew(ctx, nicID)
	if err != nil {
		return Link{}, fmt.Errorf("renew NIC %s: %w", nicID, err)
	}
	return link, nil
}

func (m *Manager) renew(ctx context.Context, nicID string) (Link, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	unlock, err := m.busy.Lock(ctx, nicID)
	if err != nil {
		return Link{}, err
	}
	defer unlock()
	have := m.known(nicID)
	if have == nil {
		return Link{}, api.Errorf(api.NotFound, "NIC %s is not attached", nicID)
	}
	v, err := m.vpc(have.VPC)
	if err != nil {
		return Link{}, err
	}
	if err := m.ensureNIC(v, have.NIC); err != nil {
		return Link{}, err
	}
	s, err := m.nicSpace(nicID)
	if err != nil {
		return Link{}, err
	}
	defer s.close()
	return m.link(v, have.NIC), ensureInner(s.route, have.Address)
}

// nicSpace opens a NIC's namespace by what is known of it.
func (m *Manager) nicSpace(nicID string) (*space, error) {
	fd, err := dupFD(m.known(nicID).fd)
	if err != nil {
		return nil, err
	}
	return openSpace(fd)
}

func (m *Manager) link(v *vpc, n NIC) Link {
	return Link{
		NetNS:   spacePath(nicSpaceName(m.cfg.Prefix, n.ID)),
		Name:    innerName,
		Address: netip.PrefixFrom(n.Address, 32),
		Gateway: Gateway,
		DNS:     Gateway,
		Search:  v.Domain,
		MTU:     m.mtu,
	}
}

func (m *Manager) known(nicID string) *nic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nics[nicID]
}

// claim notes that the NIC has its address, unless it contradicts what is attached.
// It says whether the NIC was known before.
func (m *Manager) claim(v *vpc, n NIC) (was *nic, err error) {
	if !v.CIDR.Contains(n.Address) {
		return nil, api.FieldError("address", "%s is not in %s of VPC %s", n.Address, v.CIDR, v.ID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if was := m.nics[n.ID]; was != nil {
		if was.NIC != n {
			return nil, api.Errorf(api.Conflict, "NIC %s is attached to VPC %s as %s", n.ID, was.VPC, was.Address).
				WithNext("detach it first")
		}
		return was, nil
	}
	if owner := v.owners[n.Address]; owner != "" {
		return nil, api.Errorf(api.Conflict, "address %s in VPC %s is NIC %s's", n.Address, v.ID, owner)
	}
	v.owners[n.Address] = n.ID
	m.nics[n.ID] = &nic{NIC: n, fd: -1}
	return nil, nil
}

// forget undoes claim and lets go of the NIC's namespace.
func (m *Manager) forget(nicID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.nics[nicID]
	if n == nil {
		return
	}
	if v := m.vpcs[n.VPC]; v != nil {
		delete(v.owners, n.Address)
	}
	n.close()
	delete(m.nics, nicID)
}

// ensureNIC adopts the NIC if it is complete, and otherwise makes it from nothing.
// Hold life for reading, and busy.
func (m *Manager) ensureNIC(v *vpc, n NIC) error {
	was, err := m.claim(v, n)
	if err != nil {
		return err
	}
	if was == nil {
		// A new NIC, most likely: what is left of an old one is looked for only if it
		// is in the way.
		err = m.makeNIC(v, n)
		if !errors.Is(err, os.ErrExist) {
			return m.settle(n, err)
		}
	}
	return m.settle(n, m.adoptNIC(v, n))
}

// settle forgets a NIC that could not be made.
func (m *Manager) settle(n NIC, err error) error {
	if err != nil {
		m.forget(n.ID)
	}
	return err
}

// adoptNIC takes over a NIC that is there, with its outer end repaired, or makes it
// anew if it is not whole.
func (m *Manager) adoptNIC(v *vpc, n NIC) error {
	outer, err := findLink(v.space.route, outerName(m.cfg.Prefix, n.ID))
	if err != nil {
		return err
	}
	if outer != nil && outer.Attrs().Alias == nicAlias(n.ID, n.Address) && m.reopenNIC(n.ID) {
		return m.ensureOuter(v, n, outer)
	}
	if err := m.wipeNIC(v, n.ID, outer); err != nil {
		return fmt.Errorf("remove what is left of it: %w", err)
	}
	return m.makeNIC(v, n)
}

// reopenNIC makes sure that the NIC's namespace is open and has its name. It says
// no if the namespace is lost.
func (m *Manager) reopenNIC(nicID string) bool {
	name := nicSpaceName(m.cfg.Prefix, nicID)
	n := m.known(nicID)
	if n.fd >= 0 {
		if sameSpace(n.fd, name) {
			return true
		}
		m.log.Warn("naming a NIC's namespace again", "nic", nicID)
		return rebindSpace(n.fd, name) == nil
	}
	fd, err := findSpace(name)
	if err != nil {
		return false
	}
	m.setSpace(nicID, fd)
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

// makeNIC makes a NIC of which nothing is there; else it fails with fs.ErrExist. A
// failure leaves nothing of its own behind.
func (m *Manager) makeNIC(v *vpc, n NIC) error {
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
	attrs.Name, attrs.HardwareAddr, attrs.MTU, attrs.Flags = outerName(m.cfg.Prefix, n.ID), gatewayMAC, m.mtu, net.FlagUp
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: innerName, PeerHardwareAddr: nicMAC(n.Address), PeerMTU: uint32(m.mtu),
		PeerTxQLen: -1, PeerNamespace: netlink.NsFd(fd),
	}
	if err := v.space.route.LinkAdd(pair); err != nil {
		return fmt.Errorf("make link: %w", err)
	}
	err = ensureInner(s.route, n.Address)
	if err == nil {
		err = awaitCarrier(v.space.route, pair)
	}
	if err == nil {
		err = m.ensureOuter(v, n, pair)
	}
	if err == nil {
		// The alias comes last: a link without it is half made.
		err = v.space.route.LinkSetAlias(pair, nicAlias(n.ID, n.Address))
	}
	if err != nil {
		bar := v.rules.del(v.table, nicsSet, nicKey(attrs.Name, n.Address))
		return errors.Join(err, bar, deleteLink(v.space.route, pair))
	}
	return nil
}

// awaitCarrier returns when a link whose other end has come up can send. Without it
// the first packets may be dropped until the kernel's link watch has run, which a
// query for the link makes it do at once since Linux 6.8.
func awaitCarrier(h *netlink.Handle, link netlink.Link) error {
	_, err := h.LinkByIndex(link.Attrs().Index)
	return err
}

// loopback has the same index in every namespace (LOOPBACK_IFINDEX in the kernel's
// include/net/flow.h).
var loopback = &netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo", Index: 1}}

// ensureInner sets the end that a sandbox takes over.
func ensureInner(h *netlink.Handle, address netip.Addr) error {
	if err := h.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	eth, err := h.LinkByName(innerName)
	if err != nil {
		return fmt.Errorf("find %s: %w", innerName, err)
	}
	// No address that nobody gave, and no packets to find one. (A sysctl would do it
	// too, but its look-up grows with the number of namespaces.)
	err = ignoring(unix.EAFNOSUPPORT, h.LinkSetIP6AddrGenMode(eth, nl.IN6_ADDR_GEN_MODE_NONE))
	if err != nil {
		return fmt.Errorf("turn IPv6 autoconfiguration off: %w", err)
	}
	if err := h.LinkSetUp(eth); err != nil {
		return fmt.Errorf("bring %s up: %w", innerName, err)
	}
	if err := h.AddrReplace(eth, &netlink.Addr{IPNet: hostNet(address)}); err != nil {
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
	return nil
}

// ensureOuter lets the VPC send to the NIC and the NIC send as its address.
func (m *Manager) ensureOuter(v *vpc, n NIC, outer netlink.Link) error {
	h := v.space.route
	if outer.Attrs().Flags&net.FlagUp == 0 {
		if err := h.LinkSetUp(outer); err != nil {
			return fmt.Errorf("bring link up: %w", err)
		}
	}
	if err := h.NeighSet(permanent(outer, n.Address, nicMAC(n.Address))); err != nil {
		return fmt.Errorf("set the NIC's hardware address: %w", err)
	}
	if err := h.RouteReplace(nicRoute(n, outer)); err != nil {
		return fmt.Errorf("route to NIC: %w", err)
	}
	if err := v.rules.add(v.table, nicsSet, nicKey(outer.Attrs().Name, n.Address)); err != nil {
		return fmt.Errorf("admit NIC: %w", err)
	}
	return nil
}

func nicRoute(n NIC, outer netlink.Link) *netlink.Route {
	return &netlink.Route{
		LinkIndex: outer.Attrs().Index, Dst: hostNet(n.Address), Src: Gateway.AsSlice(), Scope: netlink.SCOPE_LINK,
	}
}

// Detach removes a NIC; one that is not there is fine. On return nothing passes to or
// from it and its address is free. The kernel destroys its link and namespace soon
// after, once the last process in the namespace has gone.
func (m *Manager) Detach(ctx context.Context, nicID string) error {
	if err := m.detach(ctx, nicID); err != nil {
		return fmt.Errorf("detach NIC %s: %w", nicID, err)
	}
	return nil
}

func (m *Manager) detach(ctx context.Context, nicID string) error {
	if err := checkID("id", nicID); err != nil {
		return err
	}
	m.life.RLock()
	defer m.life.RUnlock()
	unlock, err := m.busy.Lock(ctx, nicID)
	if err != nil {
		return err
	}
	defer unlock()
	if n := m.known(nicID); n != nil {
		if err := m.silence(m.vpcs[n.VPC], n.NIC); err != nil {
			return err
		}
		m.forget(nicID)
		return removeSpace(nicSpaceName(m.cfg.Prefix, nicID))
	}
	// Left from before the start, in whichever VPC.
	for _, v := range m.vpcs {
		outer, err := findLink(v.space.route, outerName(m.cfg.Prefix, nicID))
		if err == nil && outer != nil {
			err = m.wipeNIC(v, nicID, outer)
		}
		if err != nil {
			return err
		}
	}
	return removeSpace(nicSpaceName(m.cfg.Prefix, nicID))
}

// silence takes the NIC's right to send and the route to it. Deleting the link
// itself would wait for the kernel's grace periods, some 25 ms; it goes with its
// namespace.
func (m *Manager) silence(v *vpc, n NIC) error {
	name := outerName(m.cfg.Prefix, n.ID)
	if err := v.rules.del(v.table, nicsSet, nicKey(name, n.Address)); err != nil {
		return fmt.Errorf("bar NIC: %w", err)
	}
	outer, err := findLink(v.space.route, name)
	if outer == nil || err != nil {
		return err
	}
	err = ignoring(unix.ESRCH, v.space.route.RouteDel(nicRoute(n, outer)))
	if err != nil {
		return fmt.Errorf("remove route to NIC: %w", err)
	}
	// Without its alias nobody takes it for a NIC while it dies.
	if err := ignoring(unix.ENODEV, v.space.route.LinkSetAlias(outer, "")); err != nil {
		return fmt.Errorf("unmark link: %w", err)
	}
	return nil
}

// wipeNIC removes, at once, a NIC that may be incomplete. The outer end may be nil.
func (m *Manager) wipeNIC(v *vpc, nicID string, outer netlink.Link) error {
	if outer != nil {
		if id, address, ok := parseNICAlias(outer.Attrs().Alias); ok {
			if id != nicID {
				return api.Errorf(api.Conflict, "link %s belongs to NIC %s", outer.Attrs().Name, id)
			}
			if err := v.rules.del(v.table, nicsSet, nicKey(outer.Attrs().Name, address)); err != nil {
				return err
			}
		}
	}
	return errors.Join(deleteLink(v.space.route, outer), removeSpace(nicSpaceName(m.cfg.Prefix, nicID)))
}
