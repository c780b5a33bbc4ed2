package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/api"
)

// Ways lead to a VPC's router, for programs in its namespace that lead on to NICs, such as
// the proxy of a cluster's services. What comes by them is not translated here, and the
// receiver's groups decide about it by where it comes from: nothing but the address of
// the host is the host's. They are of IPv4.
type Ways struct {
	// Ports are ports of the host that lead to the Target at the router's end of the uplink.
	Ports []Port
	// Public are public addresses that are routed to the router as they are.
	Public []netip.Addr
	// Routes are networks that the host itself, and nobody beyond it, reaches over the
	// router.
	Routes []netip.Prefix
}

// routerID is what the edge knows a VPC's router by: no NIC's id has a space.
const routerID = "router "

// asNIC is the router as the edge sees it: a NIC without an address.
func (v VPC) asNIC() NIC {
	return NIC{ID: routerID + v.ID, VPC: v.ID, Ports: v.Ways.Ports, Public: v.Ways.Public}
}

func (n NIC) isRouter() bool { return strings.HasPrefix(n.ID, routerID) }

// reachedIn says whether something can lead to the NIC in a family.
func (n NIC) reachedIn(f family) bool {
	return n.isRouter() && f.number == ip4.number || n.addressIn(f).IsValid()
}

// title names a NIC, or what stands for one.
func (n NIC) title() string {
	if n.isRouter() {
		return "VPC " + n.VPC
	}
	return "NIC " + n.ID
}

// routerPort takes a port of the router's end of the uplink, for its programs.
func (v *vpc) routerPort(p Port) (uint16, error) {
	o := v.links[socket{p.Protocol, p.Target}]
	if o == nil || o.nic.isRouter() && o.clashes(p) {
		return p.Target, nil
	}
	return 0, api.Errorf(api.Conflict, "port %d/%s of the router of VPC %s is taken by %s, for port %s of the host", p.Target, p.Protocol, v.ID, o.nic.title(), o).
		WithNext("choose another")
}

// checkRoutes refuses networks that would hide others from the host.
func (m *Manager) checkRoutes(want VPC) error {
	const field = "routes"
	for i, r := range want.Ways.Routes {
		if !r.IsValid() || !r.Addr().Is4() || r != r.Masked() || r.Bits() > 30 {
			return api.FieldError(field, "%s is not an IPv4 network of /30 or larger", r)
		}
		if r.Overlaps(linkLocal) || r.Overlaps(m.cfg.Links) || r.Overlaps(want.CIDR) {
			return api.FieldError(field, "%s overlaps %s, %s or %s, which are in use", r, linkLocal, m.cfg.Links, want.CIDR)
		}
		if slices.ContainsFunc(want.Ways.Routes[:i], r.Overlaps) {
			return api.FieldError(field, "%s overlaps another of them", r)
		}
	}
	for _, o := range m.vpcs {
		if o.ID == want.ID {
			continue
		}
		for _, r := range want.Ways.Routes {
			if o.HostReachable && o.CIDR.Overlaps(r) || slices.ContainsFunc(o.Ways.Routes, r.Overlaps) {
				return api.FieldError(field, "%s overlaps what the host reaches over VPC %s", r, o.ID)
			}
		}
		if want.HostReachable && slices.ContainsFunc(o.Ways.Routes, want.CIDR.Overlaps) {
			return api.FieldError("cidr", "%s overlaps what the host reaches over VPC %s", want.CIDR, o.ID)
		}
	}
	return m.checkHostRoutes(want)
}

// checkHostRoutes refuses new routes into networks that the host is on.
func (m *Manager) checkHostRoutes(want VPC) error {
	var fresh []netip.Prefix
	for _, r := range want.Ways.Routes {
		if v := m.vpcs[want.ID]; v == nil || !slices.Contains(v.Ways.Routes, r) {
			fresh = append(fresh, r)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return m.host.route.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list the host's addresses: %w", err)
	}
	for _, a := range addrs {
		if p := prefixOf(a.IPNet); slices.ContainsFunc(fresh, p.Overlaps) {
			return api.FieldError("routes", "they overlap the host's own network %s", p)
		}
	}
	return nil
}

// ensureWays makes the ways lead to the VPC's router, and no others. Hold life for writing.
func (m *Manager) ensureWays(v *vpc, was Ways) error {
	errs := []error{m.expose(v, v.asNIC())}
	up, err := m.host.route.LinkByName(uplinkHostName(m.cfg.Prefix, v.ID))
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("find uplink: %w", err))...)
	}
	for _, p := range v.Ways.Routes {
		if err := m.host.route.RouteReplace(v.hostRoute(up, p)); err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", p, err))
		}
	}
	for _, p := range was.Routes {
		if !slices.Contains(v.Ways.Routes, p) {
			if err := ignoring(unix.ESRCH, m.host.route.RouteDel(v.hostRoute(up, p))); err != nil {
				errs = append(errs, fmt.Errorf("remove route %s: %w", p, err))
			}
		}
	}
	return errors.Join(errs...)
}

// hostRoute leads the host to a network over the router.
func (v *vpc) hostRoute(uplink netlink.Link, p netip.Prefix) *netlink.Route {
	return &netlink.Route{LinkIndex: uplink.Attrs().Index, Dst: ipNet(p), Gw: v.router(ip4).AsSlice(), Src: v.slot.AsSlice()}
}

// sweepRoutes removes the host's routes over uplinks to networks that are none of the
// VPC's: what a crash or a hand left.
func (m *Manager) sweepRoutes() error {
	all, err := dump(func() ([]netlink.Route, error) { return m.host.route.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	wanted := map[int][]netip.Prefix{}
	var errs []error
	for id, v := range m.vpcs {
		up, err := findLink(m.host.route, uplinkHostName(m.cfg.Prefix, id))
		if up != nil {
			wanted[up.Attrs().Index] = append([]netip.Prefix{v.CIDR}, v.Ways.Routes...)
		}
		errs = append(errs, err)
	}
	for _, r := range all {
		ours, is := wanted[r.LinkIndex]
		if p := prefixOf(r.Dst); is && p.IsValid() && !p.IsSingleIP() && len(r.Gw) != 0 && !slices.Contains(ours, p) {
			errs = append(errs, ignoring(unix.ESRCH, m.host.route.RouteDel(&r)))
		}
	}
	return errors.Join(errs...)
}
