package network

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"cis/api"
)

// Public addresses in the network between the lab's host and outside.
const publicOne, publicTwo = "192.0.2.100", "192.0.2.101"

// known is the NIC with public addresses.
func (n NIC) known(as ...string) NIC {
	n.Public = nil
	for _, a := range as {
		n.Public = append(n.Public, netip.MustParseAddr(a))
	}
	return n
}

// meet waits until the outside knows where a public address is: the kernel takes up to
// 0.8 s to answer the first question for another.
func (l *lab) meet(address string) {
	l.t.Helper()
	eventually(l.t, "an answer for "+address, func() bool {
		c, err := dialWithin(ctx, l.outside.fd, "udp", net.JoinHostPort(address, "9"))
		if err != nil {
			return false
		}
		defer c.Close()
		fmt.Fprint(c, "hello")
		time.Sleep(20 * time.Millisecond)
		neighs, err := l.outside.neighbours()
		check(l.t, err)
		for _, n := range neighs {
			if n.IP.String() == address && len(n.HardwareAddr) != 0 {
				return true
			}
		}
		return false
	})
}

func TestPublicAddress(t *testing.T) { eachKind(t, testPublicAddress) }

func testPublicAddress(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	one, two := l.vpc("one"), l.vpc("two")
	two.HostReachable = false
	l.ensure(m, one)
	l.ensure(m, two) // of equal CIDR
	web := l.attach(m, nicAt("one", 2).as(kind).known(publicOne))
	sibling, stranger := l.attach(m, nicAt("one", 3).as(kind)), l.attach(m, nicAt("two", 2).as(kind).known(publicTwo))
	third := l.attach(m, nicAt("two", 3).as(kind))
	l.serve(web, ":80")
	l.serve(stranger, ":80")
	l.serve(l.outside, ":80")
	l.serve(l.host, ":90")
	l.meet(publicOne)
	l.meet(publicTwo)
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(l.outside, network, publicOne+":80", outsideAddr)
		l.reaches(l.outside, network, publicTwo+":80", outsideAddr)
		l.reaches(l.host, network, publicOne+":80", m.vpcs["one"].slot.String())
		l.reaches(l.host, network, publicTwo+":80", m.vpcs["two"].slot.String())
		l.reaches(web, network, outsideAddr+":80", publicOne)
		l.reaches(sibling, network, outsideAddr+":80", hostAddr)
		l.reaches(sibling, network, publicOne+":80", "10.77.0.3")
		l.reaches(web, network, publicOne+":80", Gateway.String())
		l.reaches(stranger, network, publicOne+":80", publicTwo)
		l.reaches(third, network, publicOne+":80", m.vpcs["two"].slot.Next().String())
		l.never(l.outside, network, publicOne+":90") // no service of the host
		l.never(web, network, hostAddr+":90")
	}
	l.pings(l.outside, publicOne)
}

// An address moves between NICs and VPCs at once; others do not notice, the old one's
// connections are cut.
func TestPublicAddressMoves(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	two := l.vpc("two")
	two.HostReachable = false
	l.ensure(m, two)
	nics := []NIC{nicAt("one", 2), nicAt("one", 3), nicAt("two", 2)}
	for i, n := range nics {
		l.serve(l.attach(m, n), fmt.Sprint(":", 80+i))
	}
	other := nicAt("one", 9).known(publicTwo).with(webPorts...)
	s := l.attach(m, other)
	l.serve(s, ":80")
	l.serve(l.outside, ":80")
	l.meet(publicTwo)
	in, out, port := l.flow(l.outside, publicTwo+":80"), l.flow(s, outsideAddr+":80"), l.flow(l.outside, hostAddr+":8080")
	for round := range 4 {
		i := round % 3
		check(t, m.UpdateNIC(ctx, nics[i].known(publicOne)))
		l.meet(publicOne)
		l.reaches(l.outside, "tcp", fmt.Sprint(publicOne, ":", 80+i), outsideAddr)
		l.reaches(l.outside, "udp", fmt.Sprint(publicOne, ":", 80+i), outsideAddr)
		old := l.flow(l.outside, fmt.Sprint(publicOne, ":", 80+i))
		err := m.UpdateNIC(ctx, nics[(i+1)%3].known(publicOne))
		if api.CodeOf(err) != api.Conflict {
			t.Errorf("an address that another NIC has: %v", err)
		}
		check(t, m.UpdateNIC(ctx, nics[i]))
		old.dead("after its address went")
		l.never(l.outside, "tcp", fmt.Sprint(publicOne, ":", 80+i))
		for _, f := range []*flow{in, out, port} {
			f.alive("after another address moved")
		}
	}
	check(t, m.Detach(ctx, other.ID))
	l.never(l.outside, "tcp", publicTwo+":80")
}

func TestPublicAddressRefusals(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	n := nicAt("one", 2)
	l.attach(m, n)
	for _, bad := range []string{hostAddr, "127.0.0.5", "169.254.3.3", "10.77.3.3", "224.0.0.9", "0.0.0.0", "fd00::9"} {
		if err := m.UpdateNIC(ctx, n.known(bad)); api.CodeOf(err) != api.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := m.UpdateNIC(ctx, n.known(publicOne, publicOne)); api.CodeOf(err) != api.Invalid {
		t.Errorf("one address twice: %v", err)
	}
	// An address that the host is on no network with is routed, and not answered for.
	check(t, m.UpdateNIC(ctx, n.known("198.51.100.9")))
	proxies, err := l.host.proxies()
	check(t, err)
	if len(proxies) != 0 {
		t.Errorf("the host answers for %v", proxies)
	}
}

// Ports and public addresses lead to the IPv6 address of a NIC too.
func TestPublicSideOfIPv6(t *testing.T) { eachKind(t, testPublicSideOfIPv6) }

func testPublicSideOfIPv6(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	two := l.vpc("two")
	two.HostReachable = false
	l.ensure(m, l.vpc("one"), openGroup, shutGroup)
	l.ensure(m, two)
	public := netip.MustParseAddr(outsideAddr6).Next().Next().Next()
	na, nb := nicAt("one", 2).dual().as(kind).in(shutGroup.ID).with(webPorts...), nicAt("one", 3).dual().as(kind).known(public.String())
	nc := nicAt("two", 2).dual().as(kind)
	a, b, c := l.attach(m, na), l.attach(m, nb), l.attach(m, nc)
	for _, s := range []*space{a, b, l.outside} {
		l.serve(s, ":80")
	}
	l.meet(public.String())
	host, on := hostEnd6(cidr6("one")).String(), "["+hostAddr6+"]:8080"
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(l.outside, network, on, outsideAddr6)
		l.reaches(l.host, network, on, hostAddr6)
		l.reaches(b, network, on, host)
		l.reaches(a, network, on, host)
		l.reaches(c, network, on, host)

		l.reaches(l.outside, network, at(public, 80), outsideAddr6)
		l.reaches(l.host, network, at(public, 80), host)
		l.reaches(a, network, at(public, 80), na.Address6.String())
		l.reaches(b, network, at(public, 80), vpcEnd6(cidr6("one")).String())
		l.reaches(c, network, at(public, 80), nc.Address6.String())
		l.reaches(b, network, at(netip.MustParseAddr(outsideAddr6), 80), public.String())
	}
	check(t, m.UpdateNIC(ctx, nicAt("one", 3).dual().as(kind)))
	l.never(l.outside, "tcp", at(public, 80))
	m.Close()
	check(t, Clean(ctx, l.prefix, l.state))
	check(t, l.host.within(func() error {
		value, err := proxyNDP("wan").read()
		if value != "0" {
			t.Errorf("the link still lets the host answer for others")
		}
		return err
	}))
}
