package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/api"
)

// VPC is a private network that shall exist.
type VPC struct {
	// ID is unique on the host: 1 to 63 letters, digits, '-', '_' and '.'.
	ID string
	// CIDR holds the addresses of all its NICs (IPv4). CIDRs of different VPCs may
	// overlap, but for those that are HostReachable.
	CIDR netip.Prefix
	// CIDR6 holds the IPv6 addresses of its NICs: a /48 of unique local addresses
	// (RFC 4193) that no other VPC has, or the zero Prefix for none. Its last /64 is the
	// uplink's.
	CIDR6 netip.Prefix
	// HostReachable lets the host itself connect to the instances.
	HostReachable bool
	// Domain is the DNS domain of its instances, without a dot at the end;
	// ID.internal if it is "".
	Domain string
	// DNS knows the names of its instances; nil if they have none.
	DNS Resolver
	// Egress is what may leave for the outside.
	Egress Egress
	// Ways lead to its router.
	Ways Ways
}

// vpc is a VPC that exists.
type vpc struct {
	VPC
	name  string // of the namespace
	table string // of the rules in it
	space *space
	rules *tables
	slot  netip.Addr // the host's address of the uplink; the VPC's is the next
	dns   *dnsServer

	policy *policy

	owners map[netip.Addr]string // NIC ids by address; guarded by Manager.mu

	nat   map[byte]vpcNAT         // by family; guarded by Manager.edge, as links
	links map[socket]*publication // by port of the VPC's end of the uplink
}

func (v *vpc) close() {
	if v.dns != nil {
		v.dns.close()
	}
	v.rules.close()
	v.space.close()
}

// EnsureVPC makes a VPC's network be there as described: namespace, uplink, routes,
// rules and DNS server. What is there already stays as it is, and traffic goes on.
func (m *Manager) EnsureVPC(ctx context.Context, want VPC) error {
	m.life.Lock()
	defer m.life.Unlock()
	return m.ensureVPC(ctx, want)
}

// ensureVPC does it while life is held for writing.
func (m *Manager) ensureVPC(ctx context.Context, want VPC) error {
	if want.Domain == "" {
		want.Domain = want.ID + ".internal"
	}
	if !hasIPv6() {
		want.CIDR6 = netip.Prefix{}
	}
	err := m.checkVPC(want)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = m.buildVPC(want)
	}
	if err != nil {
		return fmt.Errorf("ensure VPC %s: %w", want.ID, err)
	}
	return nil
}

func (m *Manager) checkVPC(want VPC) error {
	if err := checkID("id", want.ID); err != nil {
		return err
	}
	c := want.CIDR
	if !c.IsValid() || !c.Addr().Is4() || c != c.Masked() || c.Bits() > 30 {
		return api.FieldError("cidr", "%s is not an IPv4 network of /30 or larger, such as 10.64.0.0/16", c)
	}
	if c.Overlaps(linkLocal) || c.Overlaps(m.cfg.Links) {
		return api.FieldError("cidr", "%s overlaps %s or %s, which links use", c, linkLocal, m.cfg.Links)
	}
	if err := errors.Join(checkDomain(want.Domain), want.Egress.check(), m.checkCIDR6(want), m.checkRoutes(want)); err != nil {
		return err
	}
	if have := m.vpcs[want.ID]; have != nil && have.CIDR != c {
		return api.Errorf(api.Conflict, "VPC %s has CIDR %s, which cannot change to %s", want.ID, have.CIDR, c).
			WithNext("make another VPC")
	}
	if !want.HostReachable {
		return nil
	}
	for _, o := range m.vpcs {
		if o.ID != want.ID && o.HostReachable && o.CIDR.Overlaps(c) {
			return api.FieldError("cidr", "%s overlaps %s of VPC %s, which the host reaches too", c, o.CIDR, o.ID)
		}
	}
	return m.checkHostNetworks(want)
}

// checkHostNetworks refuses a CIDR that would hide a network that the host is on. A
// VPC that is there already stays, whatever network the host joined since.
func (m *Manager) checkHostNetworks(want VPC) error {
	if l, err := findLink(m.host.route, uplinkHostName(m.cfg.Prefix, want.ID)); l != nil || err != nil {
		return err
	}
	c := want.CIDR
	addrs, err := dump(func() ([]netlink.Addr, error) { return m.host.route.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list the host's addresses: %w", err)
	}
	for _, a := range addrs {
		if p := prefixOf(a.IPNet); p.Overlaps(c) {
			return api.FieldError("cidr", "%s overlaps the host's own network %s", c, p).WithNext("choose another range")
		}
	}
	return nil
}

func (m *Manager) buildVPC(want VPC) error {
	v, err := m.vpcSpace(want)
	if err != nil {
		return err
	}
	was := v.VPC
	v.VPC = want
	if err := v.space.within(func() error { return ensureSysctls(vpcSysctls(want)) }); err != nil {
		return err
	}
	// The rules come before the first link that could carry a packet past them.
	changed, err := v.rules.ensure(vpcRules(v.table, want, m.cfg.Links))
	if err != nil {
		return err
	}
	if changed {
		v.policy.distrust()
	}
	if err := m.edge.readVPC(v); err != nil {
		return err
	}
	if err := v.space.within(func() error { return ensureSysctls(trackingSysctls) }); err != nil {
		return err
	}
	if err := errors.Join(v.ensureLoopback(), v.ensureLoopback6()); err != nil {
		return err
	}
	if err := m.ensureUplink(v, was.HostReachable); err != nil {
		return err
	}
	if err := m.ensureEgress(v, was); err != nil {
		return err
	}
	if err := m.ensureDNS(v); err != nil {
		return err
	}
	return m.ensureWays(v, was.Ways)
}

// vpcSpace opens or makes the VPC's namespace and enters it into the list.
func (m *Manager) vpcSpace(want VPC) (*vpc, error) {
	name := vpcSpaceName(m.cfg.Prefix, want.ID)
	if v := m.vpcs[want.ID]; v != nil {
		if !sameSpace(v.space.fd, name) {
			m.log.Warn("naming a VPC's namespace again", "vpc", want.ID)
			return v, rebindSpace(v.space.fd, name)
		}
		return v, nil
	}
	fd, err := findSpace(name)
	if errors.Is(err, os.ErrNotExist) {
		if err = removeSpace(name); err == nil {
			fd, err = createSpace(name)
		}
	}
	if err != nil {
		return nil, err
	}
	s, err := openSpace(fd)
	if err != nil {
		return nil, err
	}
	v := &vpc{
		VPC: want, name: name, table: m.cfg.Prefix, space: s, rules: &tables{fd: s.fd}, policy: newPolicy(),
		owners: map[netip.Addr]string{}, nat: newVPCNAT(), links: map[socket]*publication{},
	}
	m.vpcs[want.ID] = v
	return v, nil
}

// ensureLoopback brings loopback up with the router's own addresses, which then answer
// on every NIC's link without being on any.
func (v *vpc) ensureLoopback() error {
	for _, own := range []netip.Addr{Gateway, Services} {
		if err := v.space.route.AddrReplace(loopback, &netlink.Addr{IPNet: hostNet(own)}); err != nil {
			return fmt.Errorf("set the router's address %s: %w", own, err)
		}
	}
	if err := v.space.route.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	// Addresses that no NIC has are unreachable, rather than outside.
	err := v.space.route.RouteReplace(&netlink.Route{Dst: ipNet(v.CIDR), Type: unix.RTN_UNREACHABLE})
	if err != nil {
		return fmt.Errorf("route %s: %w", v.CIDR, err)
	}
	return nil
}

// RemoveVPC removes a VPC's network; one that is not there is fine. It refuses while
// NICs are attached.
func (m *Manager) RemoveVPC(ctx context.Context, id string) error {
	m.life.Lock()
	defer m.life.Unlock()
	if err := errors.Join(checkID("id", id), ctx.Err()); err != nil {
		return fmt.Errorf("remove VPC %s: %w", id, err)
	}
	if n := m.attached(id); n != "" {
		return api.Errorf(api.Conflict, "VPC %s is in use by NIC %s", id, n).WithNext("detach its NICs first")
	}
	if err := m.removeVPC(id); err != nil {
		return fmt.Errorf("remove VPC %s: %w", id, err)
	}
	return nil
}

// attached returns a NIC of the VPC, or "".
func (m *Manager) attached(vpcID string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, n := range m.nics {
		if n.VPC == vpcID {
			return id
		}
	}
	return ""
}

// removeVPC does it while life is held for writing.
func (m *Manager) removeVPC(id string) error {
	m.domains.remove(id)
	var err error
	if v := m.vpcs[id]; v != nil {
		err = m.hide(v, v.asNIC())
	}
	err = errors.Join(err, m.removeUplink(id))
	if v := m.vpcs[id]; v != nil {
		v.close()
		delete(m.vpcs, id)
	}
	return errors.Join(err, removeVPCSpace(m.cfg.Prefix, id))
}

// removeVPCSpace takes the name of a VPC's namespace away. Its taps go first, since a
// machine that holds one would keep the namespace and go on in it.
func removeVPCSpace(prefix, id string) error {
	name := vpcSpaceName(prefix, id)
	return errors.Join(cutTaps(prefix, name), removeSpace(name))
}

// ensureDNS starts the VPC's DNS server, or tells the running one what is new.
func (m *Manager) ensureDNS(v *vpc) error {
	m.domains.set(v.ID, v.Domain)
	z := &zone{
		vpc: v.ID, domain: v.Domain, cidrs: []netip.Prefix{v.CIDR, v.CIDR6}, others: m.domains, names: v.DNS, upstream: m.dns.forVPC(),
	}
	if v.dns != nil {
		v.dns.zone.Store(z)
		return nil
	}
	s, err := startDNS(v.space, z, m.log.With("vpc", v.ID))
	if err != nil {
		return fmt.Errorf("start DNS: %w", err)
	}
	v.dns = s
	return nil
}

// hostNet is the /32 of an address.
func hostNet(a netip.Addr) *net.IPNet { return ipNet(netip.PrefixFrom(a, a.BitLen())) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefixOf is the inverse of ipNet; the zero Prefix, which overlaps nothing, for nil.
func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits)
}

func dupFD(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

func closeFD(fd int) { unix.Close(fd) }

// shutdownTimeout bounds the wait for requests in progress when a server closes.
const shutdownTimeout = time.Second
