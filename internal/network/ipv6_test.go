package network

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestIPv6(t *testing.T) { eachKind(t, testIPv6) }

func testIPv6(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	other := l.vpc("other")
	other.HostReachable = false
	l.ensure(m, other)
	na, nb, nc := nicAt("default", 2).dual().as(kind), nicAt("default", 3).dual(), nicAt("other", 2).dual()
	a, b, c := l.attach(m, na), l.attach(m, nb), l.attach(m, nc)
	for _, s := range []*space{a, b, c, l.outside, l.host} {
		l.serve(s, ":80")
	}
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(a, network, at(nb.Address6, 80), na.Address6.String())
		l.reaches(b, network, at(na.Address6, 80), nb.Address6.String())
		l.reaches(a, network, "["+outsideAddr6+"]:80", hostAddr6) // translated once, by the host
		l.reaches(l.host, network, at(na.Address6, 80), hostEnd6(cidr6("default")).String())
		l.never(a, network, at(nc.Address6, 80))
		for _, host := range []string{hostAddr6, hostEnd6(cidr6("default")).String(), hostEnd6(cidr6("other")).String(), vpcEnd6(cidr6("default")).String(), vpcEnd6(cidr6("other")).String(), "fe80::1%eth0", "::1"} {
			if host != "::1" { // its own
				l.never(a, network, net.JoinHostPort(host, "80"))
			}
		}
	}
	l.pings6(a, Gateway6.String()+"%eth0")
	l.pings6(a, nb.Address6.String())
	l.pings6(a, outsideAddr6)
	l.never(a, "tcp", at(nicAt("default", 99).dual().Address6, 80)) // no NIC's
	c6, err := m.Dial(ctx, "default", "tcp", at(na.Address6, 80))
	check(t, err)
	c6.Close()

	check(t, m.Detach(ctx, na.ID))
	l.never(l.host, "tcp", at(na.Address6, 80))
	l.never(b, "tcp", at(na.Address6, 80))
}

// Where the host has no way out by IPv6, an instance learns so at once.
func TestNoIPv6Outside(t *testing.T) {
	l := newLab(t)
	check(t, l.host.route.RouteDel(&netlink.Route{Gw: net.ParseIP(outsideAddr6), Dst: ipNet(netip.MustParsePrefix("::/0"))}))
	m := l.open()
	l.ensure(m, l.vpc("default"))
	// On a tap, since a kernel that hears of the error while it still sends, as over a
	// veth, tries again.
	a := l.attach(m, nicAt("default", 2).dual().as(Tap))
	_, _, err := connect(a, "tcp", "["+outsideAddr6+"]:80", blocked)
	has(t, err, unix.ENETUNREACH)

	check(t, l.host.route.RouteAdd(&netlink.Route{Gw: net.ParseIP(outsideAddr6), Dst: ipNet(netip.MustParsePrefix("::/0"))}))
	l.ensure(m, l.vpc("default"))
	l.serve(l.outside, ":80")
	l.reaches(a, "tcp", "["+outsideAddr6+"]:80", hostAddr6)
}

// What router advertisements gave the host, it keeps when it begins to route; and gets
// back what was changed.
func TestHostKeepsItsAdvertisedRoute(t *testing.T) {
	l := newLab(t)
	read := func(s sysctl) (value string) {
		check(t, l.host.within(func() (err error) { value, err = sysctl{s.path, s.value}.read(); return err }))
		return value
	}
	m := l.open()
	before := read(acceptRA("wan"))
	l.ensure(m, l.vpc("default"))
	if got := read(acceptRA("wan")); got != "2" || read(forwarding6) != "1" {
		t.Errorf("accept_ra %s, forwarding %s", got, read(forwarding6))
	}
	m.Close()
	check(t, Clean(ctx, l.prefix, l.state))
	if got := read(acceptRA("wan")); got != before || read(forwarding6) != "0" {
		t.Errorf("accept_ra %s, forwarding %s", got, read(forwarding6))
	}
}

func (l *lab) pings6(s *space, address string) {
	l.t.Helper()
	l.answers(s, "ping6", address)
}

func TestIPv6Refusals(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	vpc := func(id, cidr string) error {
		return m.EnsureVPC(ctx, VPC{ID: id, CIDR: netip.MustParsePrefix("10.1.0.0/16"), CIDR6: netip.MustParsePrefix(cidr)})
	}
	nic := func(a string) error {
		n := nicAt("default", 9)
		n.Address6 = netip.MustParseAddr(a)
		_, err := m.Attach(ctx, n)
		return err
	}
	for name, err := range map[string]error{
		"not local":          vpc("x", "2001:db8::/48"),
		"not a /48":          vpc("x", "fd01::/64"),
		"host bits":          vpc("x", "fd01::1/48"),
		"another VPC's":      vpc("x", cidr6("default").String()),
		"another than it is": vpc("default", "fd01::/48"),
		"outside the VPC":    nic("fd01::1"),
		"of the uplink":      nic(hostEnd6(cidr6("default")).String()),
		"in no VPC":          nic("fe80::2"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
