package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/api"
)

// NICKind says what joins an instance to its VPC.
type NICKind uint8

const (
	Veth NICKind = iota // an interface in a namespace that a gVisor sandbox takes over
	Tap                 // a tap in the VPC's namespace that a microVM's monitor opens (see OpenTap)
)

func (k NICKind) String() string {
	if k == Tap {
		return "tap"
	}
	return "veth"
}

// NIC is a network interface that shall exist.
type NIC struct {
	// ID is unique on the host: 1 to 63 letters, digits, '-', '_' and '.'.
	ID string
	// VPC is the id of the VPC that it is in.
	VPC string
	// Address is in the VPC's CIDR, and no other NIC's.
	Address netip.Addr
	// Address6 is in the VPC's CIDR6, and no other NIC's; the zero Addr for none.
	Address6 netip.Addr
	// Kind is Veth or Tap.
	Kind NICKind
	// Owner is the user id that may open a Tap without being root; 0 for a Veth.
	Owner uint32
	// Groups are the ids of its security groups. A NIC with none reaches, and is reached
	// by, nobody but the gateway's DNS and ping.
	Groups []string
	// Bandwidth limits what it carries.
	Bandwidth Bandwidth
	// Ports are ports of the host that lead to it.
	Ports []Port
	// Public are the public addresses that stand for it. What it sends to the outside
	// comes from the first of each family.
	Public []netip.Addr
}

// same says whether two NICs differ in nothing but what UpdateNIC changes.
func (n NIC) same(o NIC) bool {
	return n.ID == o.ID && n.VPC == o.VPC && n.Kind == o.Kind && n.Owner == o.Owner &&
		n.Address == o.Address && n.Address6 == o.Address6
}

// Link is what a sandbox needs to know of its NIC.
type Link struct {
	NetNS      string           // path of the namespace that holds the interface, or the tap
	Name       string           // of the interface, or the tap, in it
	MAC        net.HardwareAddr // of the interface; a guest on a tap must use it
	Address    netip.Prefix     // the NIC's address, as /32
	Gateway    netip.Addr       // on the link, in no network of the NIC
	Address6   netip.Prefix     // the NIC's IPv6 address, as /128; the zero Prefix for none
	Gateway6   netip.Addr       // on the link; the zero Addr for none
	GatewayMAC net.HardwareAddr // what ARP for the gateway answers
	DNS        netip.Addr       // the name server
	Search     string           // the DNS domain to search
	MTU        int              // bytes
}

// nic is a NIC that exists.
type nic struct {
	NIC
	fd int // a Veth's namespace, to name it again if someone removes the name; -1 for none
}

func (n *nic) close() {
	if n.fd >= 0 {
		unix.Close(n.fd)
	}
}

// Attach makes a NIC: a namespace with one interface, or a tap, connected to its VPC.
// A NIC that is there stays as it is: it may be a running sandbox's, and what the
// sandbox took from a namespace is not put back (see Renew).
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
	n = n.onThisKernel()
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
	fresh := m.known(n.ID) == nil
	if err := m.ensureNIC(v, n); err != nil {
		return Link{}, err
	}
	if err := m.expose(v, n); err != nil {
		if fresh {
			err = errors.Join(err, m.removeNIC(v, n))
		}
		return Link{}, err
	}
	return m.link(v, n), nil
}

// Renew gives the interface of an attached NIC its addresses and routes again, for
// the next sandbox in it: a gVisor sandbox takes them away when it starts. Do not
// call it while a sandbox runs there, since the kernel would answer beside it. A tap
// has none to renew: its guest sets them.
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
	if have.Kind == Veth {
		err = m.renewVeth(have.NIC)
	}
	return m.link(v, have.NIC), err
}

func (m *Manager) link(v *vpc, n NIC) Link {
	l := Link{
		NetNS:      spacePath(nicSpaceName(m.cfg.Prefix, n.ID)),
		Name:       innerName,
		MAC:        nicMAC(n.Address),
		Address:    netip.PrefixFrom(n.Address, 32),
		Gateway:    Gateway,
		GatewayMAC: slices.Clone(gatewayMAC),
		DNS:        Gateway,
		Search:     v.Domain,
		MTU:        m.mtu,
	}
	if n.Address6.IsValid() {
		l.Address6, l.Gateway6 = netip.PrefixFrom(n.Address6, 128), Gateway6
	}
	if n.Kind == Tap {
		l.NetNS, l.Name = spacePath(v.name), outerName(m.cfg.Prefix, n.ID)
	}
	return l
}

func (m *Manager) known(nicID string) *nic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nics[nicID]
}

func checkKind(n NIC) error {
	if n.Kind > Tap {
		return api.FieldError("kind", "there is no NIC of kind %d", n.Kind)
	}
	if n.Kind == Veth && n.Owner != 0 {
		return api.FieldError("owner", "only a tap has an owner")
	}
	return nil
}

// claim notes that the NIC has its address, unless it contradicts what is attached.
// It says whether the NIC was known before.
func (m *Manager) claim(v *vpc, n NIC) (was *nic, err error) {
	if !v.CIDR.Contains(n.Address) {
		return nil, api.FieldError("address", "%s is not in %s of VPC %s", n.Address, v.CIDR, v.ID)
	}
	if err := errors.Join(checkAddress6(v, n.Address6), checkKind(n), n.Bandwidth.check()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if was := m.nics[n.ID]; was != nil {
		if !was.same(n) {
			return nil, api.Errorf(api.Conflict, "NIC %s is attached to VPC %s as %s, a %s of user %d",
				n.ID, was.VPC, was.Address, was.Kind, was.Owner).WithNext("detach it first")
		}
		m.nics[n.ID] = &nic{NIC: n, fd: was.fd}
		return was, nil
	}
	for _, a := range n.addrs() {
		if owner := v.owners[a]; owner != "" {
			return nil, api.Errorf(api.Conflict, "address %s in VPC %s is NIC %s's", a, v.ID, owner)
		}
	}
	for _, a := range n.addrs() {
		v.owners[a] = n.ID
	}
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
		for _, a := range n.addrs() {
			delete(v.owners, a)
		}
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
	if outer != nil && n.madeAs(outer) && m.reopenNIC(n) {
		return m.ensureOuter(v, n, outer)
	}
	if err := m.wipeNIC(v, n.ID, outer); err != nil {
		return fmt.Errorf("remove what is left of it: %w", err)
	}
	return m.makeNIC(v, n)
}

// madeAs says whether the outer end is, by its own account, this NIC's and complete.
func (n NIC) madeAs(outer netlink.Link) bool {
	if outer.Attrs().Alias != nicAlias(n.ID, n.addrs()...) {
		return false
	}
	if n.Kind == Tap {
		return isTap(outer, n.Owner)
	}
	return outer.Type() == (&netlink.Veth{}).Type()
}

// makeNIC makes a NIC of which nothing is there; else it fails with fs.ErrExist. A
// failure leaves nothing of its own behind.
func (m *Manager) makeNIC(v *vpc, n NIC) error {
	if n.Kind == Tap {
		return m.makeTap(v, n)
	}
	return m.makeVeth(v, n)
}

// complete makes a NIC of a new outer end, which prepare makes all of that cannot be
// repaired later. A failure removes it.
//
// The outer end is down until then: each change of a link that is up has the kernel go
// through all IPv6 routes of the namespace, which grow with its NICs.
func (m *Manager) complete(v *vpc, n NIC, outer netlink.Link, prepare func() error) error {
	err := prepare()
	if err == nil {
		// A link without its alias is half made; one that has it lacks at most what
		// ensureOuter gives it.
		err = v.space.route.LinkSetAlias(outer, nicAlias(n.ID, n.addrs()...))
	}
	if err == nil {
		err = m.ensureOuter(v, n, outer)
	}
	if err != nil {
		return errors.Join(err, v.bar(n, outer.Attrs().Name), m.removeDetour(v, n.ID), deleteLink(v.space.route, outer))
	}
	return nil
}

// awaitCarrier returns when a link whose other end has come up, or whose tap has been
// opened, can send. Without it
// the first packets may be dropped until the kernel's link watch has run, which a
// query for the link makes it do at once since Linux 6.8.
func awaitCarrier(h *netlink.Handle, link netlink.Link) error {
	_, err := h.LinkByName(link.Attrs().Name)
	return err
}

// awaitCarriers is awaitCarrier for both ends of a NIC.
func (m *Manager) awaitCarriers(n NIC, h *netlink.Handle, outer netlink.Link) error {
	if err := awaitCarrier(h, outer); err != nil || n.Kind == Tap {
		return err
	}
	s, err := m.nicSpace(n.ID)
	if err != nil {
		return err
	}
	defer s.close()
	return awaitCarrier(s.route, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: innerName}})
}

// ensureOuter lets the VPC send to the NIC and the NIC send as its address.
func (m *Manager) ensureOuter(v *vpc, n NIC, outer netlink.Link) error {
	h := v.space.route
	if outer.Attrs().Flags&net.FlagUp == 0 {
		if err := h.LinkSetUp(outer); err != nil {
			return fmt.Errorf("bring link up: %w", err)
		}
		if err := m.awaitCarriers(n, h, outer); err != nil {
			return fmt.Errorf("bring link up: %w", err)
		}
	}
	if err := h.NeighSet(permanent(outer, n.Address, nicMAC(n.Address))); err != nil {
		return fmt.Errorf("set the NIC's hardware address: %w", err)
	}
	if err := h.RouteReplace(nicRoute(n, outer)); err != nil {
		return fmt.Errorf("route to NIC: %w", err)
	}
	if err := v.ensureOuter6(n, outer); err != nil {
		return err
	}
	if err := v.admit(n, outer.Attrs().Name); err != nil {
		return fmt.Errorf("admit NIC: %w", err)
	}
	return m.shape(v, n, outer)
}

func nicRoute(n NIC, outer netlink.Link) *netlink.Route {
	return &netlink.Route{
		LinkIndex: outer.Attrs().Index, Dst: hostNet(n.Address), Src: Gateway.AsSlice(), Scope: netlink.SCOPE_LINK,
	}
}

// Detach removes a NIC; one that is not there is fine. On return nothing passes to or
// from it and its address is free. A tap is gone. The kernel destroys a veth and its
// namespace soon after, once the last process in the namespace has gone.
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
		return m.removeNIC(m.vpcs[n.VPC], n.NIC)
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

// removeNIC removes a NIC that is known.
func (m *Manager) removeNIC(v *vpc, n NIC) error {
	if err := m.silence(v, n); err != nil {
		return err
	}
	m.forget(n.ID)
	var err error
	if n.Kind == Tap {
		err = m.removeTap(v, n.ID)
	}
	return errors.Join(err, removeSpace(nicSpaceName(m.cfg.Prefix, n.ID)))
}

// silence takes the NIC's right to send and the route to it. Deleting the link
// itself would wait for the kernel's grace periods, some 25 ms; a veth goes with its
// namespace.
func (m *Manager) silence(v *vpc, n NIC) error {
	if err := m.hide(v, n); err != nil {
		return err
	}
	name := outerName(m.cfg.Prefix, n.ID)
	if err := v.bar(n, name); err != nil {
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
	if n.Address6.IsValid() {
		err = ignoring(unix.ESRCH, v.space.route.RouteDel(nicRoute6(n, v.VPC, outer)))
		if err != nil {
			return fmt.Errorf("remove route to NIC: %w", err)
		}
	}
	if err := m.removeDetour(v, n.ID); err != nil {
		return fmt.Errorf("remove intermediate device: %w", err)
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
		if id, addrs, ok := parseNICAlias(outer.Attrs().Alias); ok {
			if id != nicID {
				return api.Errorf(api.Conflict, "link %s belongs to NIC %s", outer.Attrs().Name, id)
			}
			if err := v.barLeftover(outer.Attrs().Name, addrs); err != nil {
				return err
			}
		}
	}
	return errors.Join(deleteLink(v.space.route, outer), m.removeDetour(v, nicID), removeSpace(nicSpaceName(m.cfg.Prefix, nicID)))
}
