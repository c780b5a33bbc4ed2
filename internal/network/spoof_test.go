package network

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A NIC cannot send as an IPv6 address that is not its own: not a neighbour's, the
// gateway's, a link-local one, nor none.
func TestSpoofedIPv6SourceIsDropped(t *testing.T) { eachKind(t, testSpoofedIPv6SourceIsDropped) }

func testSpoofedIPv6SourceIsDropped(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	na, nb, nc := nicAt("default", 2).dual().as(kind), nicAt("default", 3).dual(), nicAt("default", 4).dual()
	a, b, c := l.attach(m, na), l.attach(m, nb), l.attach(m, nc)
	pc := listen(t, b, at(nb.Address6, 9))
	say := func(s *space, from netip.Addr, what string) {
		eth, err := s.route.LinkByName(innerName)
		check(t, err)
		check(t, ensureAddr6(s.route, eth, from))
		check(t, s.within(func() error {
			source := &net.UDPAddr{IP: from.AsSlice(), Port: 1234}
			if from.IsLinkLocalUnicast() {
				source.Zone = innerName
			}
			conn, err := net.ListenUDP("udp6", source)
			if err != nil {
				return err
			}
			defer conn.Close()
			conn.WriteTo([]byte(what), &net.UDPAddr{IP: nb.Address6.AsSlice(), Port: 9})
			return nil
		}))
	}
	for _, forged := range []netip.Addr{nc.Address6, nicAt("default", 99).dual().Address6, Gateway6, addr("fe80::9"), addr("2001:db8::7"), vpcEnd6(cidr6("default"))} {
		say(a, forged, "forged "+forged.String())
	}
	say(c, nc.Address6, "honest")
	l.hears(pc, "honest")
}

// The host takes nothing from a VPC's router that has a source in another VPC, not even
// for what is opened to it.
func TestHostChecksSources(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	other := l.vpc("other")
	opened := Rule{Protocol: UDP, First: 9, Last: 9, Peer: netip.PrefixFrom(addr(hostAddr), 32)}
	other.HostReachable, other.Egress = false, Egress{Allow: []Rule{opened}}
	l.ensure(m, other)
	pc := listen(t, l.host, hostAddr+":9")
	router := m.vpcs["other"].space
	nftIn(t, router, "flush chain inet "+l.prefix+" postrouting") // else it translates what is forged
	say := func(from netip.Addr, what string) {
		check(t, ignoring(unix.EEXIST, router.route.AddrAdd(loopback, &netlink.Addr{IPNet: hostNet(from)})))
		check(t, router.within(func() error {
			conn, err := net.DialUDP("udp", &net.UDPAddr{IP: from.AsSlice()}, &net.UDPAddr{IP: addr(hostAddr).AsSlice(), Port: 9})
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte(what))
			return err
		}))
	}
	for _, forged := range []string{"10.77.0.2", outsideAddr, m.vpcs["default"].slot.Next().String()} {
		say(addr(forged), "forged "+forged)
	}
	say(m.vpcs["other"].slot.Next(), "honest")
	l.hears(pc, "honest")
}

// hears checks that the datagram comes, and nothing else.
func (l *lab) hears(pc net.PacketConn, want string) {
	l.t.Helper()
	buf := make([]byte, 100)
	pc.SetDeadline(soon(2000))
	n, from, err := pc.ReadFrom(buf)
	check(l.t, err)
	if string(buf[:n]) != want {
		l.t.Errorf("got %q from %v first", buf[:n], from)
	}
	pc.SetDeadline(soon(300))
	if n, from, err := pc.ReadFrom(buf); err == nil {
		l.t.Errorf("got %q from %v", buf[:n], from)
	}
}

// Lies about who has an address, as answers and as questions of ARP and of neighbour
// discovery, and about routes, change nothing.
func TestNeighbourTricks(t *testing.T) { eachKind(t, testNeighbourTricks) }

func testNeighbourTricks(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	na, nb, nc := nicAt("default", 2).dual().as(kind), nicAt("default", 3).dual(), nicAt("default", 4).dual()
	a, b, c := l.attach(m, na), l.attach(m, nb), l.attach(m, nc)
	l.serve(b, ":80")
	l.serve(l.outside, ":80")
	eth, err := a.route.LinkByName(innerName)
	check(t, err)
	mac := eth.Attrs().HardwareAddr
	for _, victim := range []NIC{nb, nc} {
		for _, operation := range []byte{1, 2} { // request, reply
			l.frame(a, unix.ETH_P_ARP, arpFrame(operation, mac, victim.Address, victim.Address))
			l.frame(a, unix.ETH_P_ARP, arpFrame(operation, mac, victim.Address, Gateway))
		}
		l.frame(a, unix.ETH_P_IPV6, advertisement(mac, victim.Address6, victim.Address6))
		l.frame(a, unix.ETH_P_IPV6, advertisement(mac, na.Address6, victim.Address6))
	}
	l.frame(a, unix.ETH_P_ARP, arpFrame(2, mac, Gateway, Gateway))
	l.frame(a, unix.ETH_P_IPV6, advertisement(mac, na.Address6, Gateway6))
	l.frame(a, unix.ETH_P_IPV6, icmp6Frame(addr("fe80::9"), addr("ff02::1"), []byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0})) // router
	l.reaches(c, "tcp", "10.77.0.3:80", "10.77.0.4")
	l.reaches(c, "tcp", at(nb.Address6, 80), nc.Address6.String())
	l.reaches(c, "tcp", "["+outsideAddr6+"]:80", hostAddr6)
	l.reaches(a, "tcp", "["+outsideAddr6+"]:80", hostAddr6) // it has not hurt itself either
	v := m.vpcs["default"].space
	neighbours, err := v.neighbours()
	check(t, err)
	for _, n := range neighbours {
		if n.LinkIndex == m.outer(t, na).Attrs().Index && !n.IP.Equal(na.Address.AsSlice()) && !n.IP.Equal(na.Address6.AsSlice()) && !n.IP.IsMulticast() {
			t.Errorf("the router believes %v", n)
		}
	}
	routes, err := v.route.RouteList(m.outer(t, na), netlink.FAMILY_V6)
	check(t, err)
	for _, r := range routes {
		if r.Gw != nil {
			t.Errorf("the router routes by %v", r)
		}
	}
}

// frame sends what follows the Ethernet header to everyone on the link.
func (l *lab) frame(s *space, protocol uint16, payload []byte) {
	l.t.Helper()
	check(l.t, s.within(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		eth, err := net.InterfaceByName(innerName)
		if err != nil {
			return err
		}
		to := &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: eth.Index, Halen: 6}
		copy(to.Addr[:], gatewayMAC)
		return unix.Sendto(fd, payload, 0, to)
	}))
}

// arpFrame says that the sender has an address, and asks for or answers to another.
func arpFrame(operation byte, mac net.HardwareAddr, sender, target netip.Addr) []byte {
	p := []byte{0, 1, 8, 0, 6, 4, 0, operation}
	p = append(append(p, mac...), sender.AsSlice()...)
	return append(append(p, gatewayMAC...), target.AsSlice()...)
}

// advertisement says, unasked, that the sender has the target.
func advertisement(mac net.HardwareAddr, source, target netip.Addr) []byte {
	body := append([]byte{icmp6Advertisement, 0, 0, 0, 0x60, 0, 0, 0}, target.AsSlice()...) // solicited, override
	body = append(append(body, 2, 1), mac...)
	return icmp6Frame(source, Gateway6, body)
}

// icmp6Frame is an IPv6 packet with the checksum set.
func icmp6Frame(source, destination netip.Addr, body []byte) []byte {
	pseudo := append(append(source.AsSlice(), destination.AsSlice()...), 0, 0, 0, byte(len(body)), 0, 0, 0, unix.IPPROTO_ICMPV6)
	var sum uint32
	for i, b := range append(pseudo, body...) {
		sum += uint32(b) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	body[2], body[3] = byte(^sum>>8), byte(^sum)
	head := []byte{0x60, 0, 0, 0, 0, byte(len(body)), unix.IPPROTO_ICMPV6, 255}
	return append(append(append(head, source.AsSlice()...), destination.AsSlice()...), body...)
}
