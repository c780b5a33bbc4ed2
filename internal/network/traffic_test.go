package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var ctx = context.Background()

func TestInstanceReachesSiblingAndOutside(t *testing.T) {
	eachKind(t, testInstanceReachesSiblingAndOutside)
}

func testInstanceReachesSiblingAndOutside(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a, b := l.attach(m, nicAt("default", 2).as(kind)), l.attach(m, nicAt("default", 3))
	l.serve(b, ":80")
	l.serve(l.outside, ":80")
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(a, network, "10.77.0.3:80", "10.77.0.2")
		l.reaches(a, network, outsideAddr+":80", hostAddr) // by two masquerades
	}
}

// The first packet passes, however soon it is sent.
func TestNICWorksOnReturn(t *testing.T) { eachKind(t, testNICWorksOnReturn) }

func testNICWorksOnReturn(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	l.serve(l.outside, ":80")
	for i := range 20 {
		a := l.attach(m, nicAt("default", byte(2+i)).as(kind))
		l.reaches(a, "tcp", outsideAddr+":80", hostAddr)
		check(t, m.Detach(ctx, nicAt("default", byte(2+i)).ID))
	}
}

func TestHostReachesInstance(t *testing.T) { eachKind(t, testHostReachesInstance) }

func testHostReachesInstance(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	other := VPC{ID: "other", CIDR: netip.MustParsePrefix("10.78.0.0/16")}
	l.ensure(m, other)
	a := l.attach(m, nicAt("default", 2).as(kind))
	b := l.attach(m, NIC{ID: "b", VPC: "other", Address: netip.MustParseAddr("10.78.0.2"), Kind: kind, Groups: []string{openGroup.ID}})
	l.serve(a, ":80")
	l.serve(b, ":80")
	l.reaches(l.host, "tcp", "10.77.0.2:80", m.vpcs["default"].slot.String())
	l.never(l.host, "tcp", "10.78.0.2:80")
	check(t, l.host.route.RouteAdd(&netlink.Route{Dst: ipNet(other.CIDR), Gw: m.vpcs["other"].slot.Next().AsSlice()}))
	l.never(l.host, "tcp", "10.78.0.2:80") // not even with a route
	check(t, l.outside.route.RouteAdd(&netlink.Route{Dst: ipNet(l.vpc("").CIDR), Gw: net.ParseIP(hostAddr)}))
	l.never(l.outside, "tcp", "10.77.0.2:80") // the host is no router for strangers
	l.never(b, "tcp", "10.77.0.2:80")         // nor for another VPC

	c, err := m.Dial(ctx, "other", "tcp", "10.78.0.2:80")
	check(t, err)
	c.Close()
	if _, err := m.Dial(ctx, "other", "tcp", "localhost:80"); err == nil {
		t.Error("dial of a name should be refused")
	}
	path, err := m.NetNS("other")
	check(t, err)
	if !isSpace(path) {
		t.Errorf("%s is no namespace", path)
	}
}

func TestHostServicesAreOutOfReach(t *testing.T) { eachKind(t, testHostServicesAreOutOfReach) }

func testHostServicesAreOutOfReach(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a := l.attach(m, nicAt("default", 2).as(kind))
	l.serve(l.host, ":80")
	l.serve(l.outside, ":80")
	slot := m.vpcs["default"].slot
	check(t, l.host.route.AddrAdd(loopback, &netlink.Addr{IPNet: hostNet(netip.MustParseAddr("203.0.113.9"))}))
	for _, address := range []string{hostAddr, "203.0.113.9", slot.String(), slot.Next().String(), "127.0.0.1", "169.254.169.254", Gateway.String()} {
		l.never(a, "tcp", address+":80")
		l.never(a, "udp", address+":80")
	}
	// A packet that is routed to the uplink's address by hand meets the same end.
	check(t, a.route.RouteAdd(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("127.0.0.0/8")), Gw: Gateway.AsSlice(), Table: unix.RT_TABLE_MAIN}))
	l.never(a, "udp", "127.0.0.1:80")
	l.reaches(l.host, "tcp", hostAddr+":80", hostAddr) // the service does run
	l.reaches(a, "tcp", outsideAddr+":80", hostAddr)
}

// A port that the host forwards elsewhere is still the host's. Without the guard,
// which looks before the forward does, it would be open.
func TestForwardedHostPortIsOutOfReach(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a := l.attach(m, nicAt("default", 2))
	l.serve(l.outside, ":80")
	l.nft("add table ip theirs")
	l.nft("add chain ip theirs pre { type nat hook prerouting priority dstnat; }")
	l.nft("add rule ip theirs pre ip daddr " + hostAddr + " tcp dport 8080 dnat to " + outsideAddr + ":80")
	l.never(a, "tcp", hostAddr+":8080")
	l.nft("flush chain inet " + l.prefix + " guard")
	l.reaches(a, "tcp", hostAddr+":8080", hostAddr)
	check(t, m.Reconcile(ctx, l.wants("default", nicAt("default", 2))))
	l.never(a, "tcp", hostAddr+":8080")
}

func TestLinkLocalIsRefusedAtOnce(t *testing.T) { eachKind(t, testLinkLocalIsRefusedAtOnce) }

func testLinkLocalIsRefusedAtOnce(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a := l.attach(m, nicAt("default", 2).as(kind))
	start := time.Now()
	_, _, err := connect(a, "tcp", "169.254.169.254:80", blocked)
	if !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("metadata address: %v after %v, want a refusal", err, time.Since(start))
	}
	_, _, err = connect(a, "tcp", "10.77.9.9:80", blocked)
	has(t, err, unix.EHOSTUNREACH) // an address in the CIDR that no NIC has
}

func TestSpoofedSourceIsDropped(t *testing.T) { eachKind(t, testSpoofedSourceIsDropped) }

func testSpoofedSourceIsDropped(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a, b := l.attach(m, nicAt("default", 2).as(kind)), l.attach(m, nicAt("default", 3))
	c := l.attach(m, nicAt("default", 4))
	pc := listen(t, b, "10.77.0.3:9")
	say := func(s *space, from, what string) {
		check(t, s.within(func() error {
			var lc net.ListenConfig
			c, err := lc.ListenPacket(ctx, "udp", from+":1234")
			if err != nil {
				return err
			}
			defer c.Close()
			c.WriteTo([]byte(what), &net.UDPAddr{IP: net.IP{10, 77, 0, 3}, Port: 9})
			return nil
		}))
	}
	l.pings(a, Gateway.String()) // so that no packet is lost for want of ARP
	eth, err := a.route.LinkByName(innerName)
	check(t, err)
	for _, forged := range []string{"10.77.0.4", "10.77.0.99", "8.8.8.8"} {
		check(t, a.route.AddrAdd(eth, &netlink.Addr{IPNet: hostNet(netip.MustParseAddr(forged))}))
		say(a, forged, "forged with the kernel's own check")
	}
	check(t, m.vpcs["default"].space.within(func() error {
		return ensureSysctls([]sysctl{
			{"net/ipv4/conf/all/rp_filter", "0"},
			{"net/ipv4/conf/" + outerName(l.prefix, "i-default-2") + "/rp_filter", "0"},
		})
	}))
	for _, forged := range []string{"10.77.0.4", "10.77.0.99", "8.8.8.8"} {
		say(a, forged, "forged without the kernel's own check")
	}
	say(c, "10.77.0.4", "honest")
	buf := make([]byte, 100)
	pc.SetDeadline(time.Now().Add(patience))
	n, from, err := pc.ReadFrom(buf)
	check(t, err)
	if string(buf[:n]) != "honest" {
		t.Errorf("got %q from %v first", buf[:n], from)
	}
	pc.SetDeadline(time.Now().Add(blocked))
	if n, from, err := pc.ReadFrom(buf); err == nil {
		t.Errorf("got %q from %v", buf[:n], from)
	}
}

func listen(t *testing.T, s *space, address string) (pc net.PacketConn) {
	t.Helper()
	check(t, s.within(func() (err error) {
		pc, err = net.ListenPacket("udp", address)
		return err
	}))
	t.Cleanup(func() { pc.Close() })
	return pc
}

func TestEqualCIDRsDoNotMeet(t *testing.T) { eachKind(t, testEqualCIDRsDoNotMeet) }

func testEqualCIDRsDoNotMeet(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	one, two := l.vpc("one"), l.vpc("two")
	one.HostReachable, two.HostReachable = false, false
	l.ensure(m, one)
	l.ensure(m, two)
	a, b := l.attach(m, nicAt("one", 2).as(kind)), l.attach(m, nicAt("two", 2).as(kind))
	c, d := l.attach(m, nicAt("one", 3)), l.attach(m, nicAt("two", 4))
	l.serve(c, ":80")
	l.serve(d, ":80")
	l.serve(l.outside, ":80")
	l.reaches(a, "tcp", "10.77.0.3:80", "10.77.0.2")
	l.never(a, "tcp", "10.77.0.4:80")
	l.never(b, "tcp", "10.77.0.3:80")
	l.reaches(b, "tcp", "10.77.0.4:80", "10.77.0.2")
	l.never(a, "tcp", m.vpcs["two"].slot.Next().String()+":80")
	l.reaches(a, "tcp", outsideAddr+":80", hostAddr)
	l.reaches(b, "tcp", outsideAddr+":80", hostAddr)
}

func TestBulkTransferKeepsItsBytes(t *testing.T) { eachKind(t, testBulkTransferKeepsItsBytes) }

func testBulkTransferKeepsItsBytes(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a, b := l.attach(m, nicAt("default", 2).as(kind)), l.attach(m, nicAt("default", 3))
	l.serve(b, ":80")
	c, _, err := connect(a, "tcp", "10.77.0.3:80", patience)
	check(t, err)
	defer c.Close()
	const size = 8 << 20
	go func() {
		buf := make([]byte, 64<<10)
		for i := range buf {
			buf[i] = byte(i)
		}
		for range size / len(buf) {
			c.Write(buf)
		}
	}()
	buf := make([]byte, 64<<10)
	for got := 0; got < size; {
		n, err := c.Read(buf)
		check(t, err)
		for i, x := range buf[:n] {
			if x != byte(got+i) {
				t.Fatalf("byte %d is %d", got+i, x)
			}
		}
		got += n
	}
}
