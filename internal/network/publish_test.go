package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"cis/api"
)

// port is a published port on every address of the host.
func port(p Protocol, host, target uint16) Port {
	return Port{Protocol: p, HostPort: host, Target: target}
}

// with is the NIC with ports.
func (n NIC) with(ports ...Port) NIC {
	n.Ports = ports
	return n
}

// shutGroup lets nobody in.
var shutGroup = Group{ID: "shut", Egress: []Rule{{}}}

var webPorts = []Port{port(TCP, 8080, 80), port(UDP, 8080, 80)}

// A published port is reachable from everywhere, and the client's address is seen where
// the VPC has a way back to it.
func TestPublishedPort(t *testing.T) { eachKind(t, testPublishedPort) }

func testPublishedPort(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	one, two := l.vpc("one"), l.vpc("two")
	one.HostReachable, two.HostReachable = false, false
	l.ensure(m, one, openGroup, shutGroup)
	l.ensure(m, two) // of equal CIDR
	web := l.attach(m, nicAt("one", 2).as(kind).in(shutGroup.ID).with(webPorts...))
	sibling, stranger := l.attach(m, nicAt("one", 3).as(kind)), l.attach(m, nicAt("two", 2).as(kind))
	l.serve(web, ":80")
	l.serve(stranger, ":80")
	end := m.vpcs["one"].slot.String()
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(l.host, network, "127.0.0.1:8080", end)
		l.reaches(l.host, network, "127.0.0.2:8080", end)
		if network == "tcp" {
			l.reaches(l.host, network, "[::1]:8080", end)
		}
		l.reaches(l.host, network, hostAddr+":8080", hostAddr)
		l.reaches(l.outside, network, hostAddr+":8080", outsideAddr)
		l.reaches(sibling, network, hostAddr+":8080", end)
		l.reaches(web, network, hostAddr+":8080", end)
		l.reaches(stranger, network, hostAddr+":8080", end)
		l.never(l.outside, network, hostAddr+":80")
		l.never(stranger, network, hostAddr+":8081")
	}
	// The host's own services, on other ports, stay shut for instances.
	l.serve(l.host, ":9090")
	l.never(web, "tcp", hostAddr+":9090")
	l.never(stranger, "tcp", hostAddr+":9090")
}

// At a guarded port the groups decide, by the client's own address; who comes as the host is let in
// where the host itself is, and elsewhere judged too. What the groups forbid from then on is cut.
func TestGuardedPort(t *testing.T) { eachKind(t, testGuardedPort) }

func testGuardedPort(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	one, two := l.vpc("one"), l.vpc("two")
	two.HostReachable = false
	known := Group{ID: "known", Egress: []Rule{{}}, Ingress: []Rule{{Peer: netip.MustParsePrefix(outsideAddr + "/32")}}}
	l.ensure(m, one, openGroup, shutGroup, known)
	l.ensure(m, two, known)
	n := nicAt("one", 2).as(kind).in(known.ID).with(Port{Protocol: TCP, HostPort: 8080, Target: 80, Guarded: true}, Port{Protocol: UDP, HostPort: 8080, Target: 80, Guarded: true})
	hidden := nicAt("two", 2).as(kind).in(known.ID).with(Port{Protocol: TCP, HostPort: 8081, Target: 80, Guarded: true})
	web, other, sibling := l.attach(m, n), l.attach(m, hidden), l.attach(m, nicAt("one", 3).as(kind))
	l.serve(web, ":80")
	l.serve(other, ":80")
	end := m.vpcs["one"].slot.String()
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(l.outside, network, hostAddr+":8080", outsideAddr)
		l.reaches(l.host, network, "127.0.0.1:8080", end)
		l.reaches(sibling, network, hostAddr+":8080", end)
	}
	l.reaches(l.outside, "tcp", hostAddr+":8081", outsideAddr)
	l.never(l.host, "tcp", "127.0.0.1:8081")
	l.never(sibling, "tcp", hostAddr+":8081")
	flow := l.flow(l.outside, hostAddr+":8080")
	check(t, m.UpdateNIC(ctx, n.in(shutGroup.ID)))
	flow.dead("after its group shut it out")
	l.never(l.outside, "tcp", hostAddr+":8080")
	check(t, m.UpdateNIC(ctx, n.in(shutGroup.ID).with(webPorts...)))
	l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)
	check(t, m.UpdateNIC(ctx, n.in(shutGroup.ID)))
	l.never(l.outside, "tcp", hostAddr+":8080")
}

// A client whose own address is in the VPC's CIDR comes as the host.
func TestPublishedPortForClientOfEqualNetwork(t *testing.T) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("one")
	v.CIDR, v.HostReachable = netip.MustParsePrefix("192.0.2.0/24"), false
	l.ensure(m, v)
	n := nicAt("one", 2).with(webPorts...)
	n.Address = netip.MustParseAddr("192.0.2.2")
	web := l.attach(m, n)
	l.serve(web, ":80")
	l.reaches(l.outside, "tcp", hostAddr+":8080", m.vpcs["one"].slot.String())
	l.reaches(l.outside, "udp", hostAddr+":8080", m.vpcs["one"].slot.String())
	l.reaches(l.host, "tcp", hostAddr+":8080", m.vpcs["one"].slot.String())
}

// What is published changes on a live NIC: others are not disturbed, what is withdrawn is cut.
func TestPortsChangeLive(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	a, b := nicAt("one", 2).with(port(TCP, 8080, 80), port(TCP, 8081, 80)), nicAt("one", 3)
	l.serve(l.attach(m, a), ":80")
	l.serve(l.attach(m, b), ":81")
	stays, goes := l.flow(l.outside, hostAddr+":8080"), l.flow(l.outside, hostAddr+":8081")
	stays6, goes6 := l.flow(l.host, "[::1]:8080"), l.flow(l.host, "[::1]:8081")
	b.Ports = []Port{port(TCP, 8081, 81)}
	if err := m.UpdateNIC(ctx, b); api.CodeOf(err) != api.Conflict {
		t.Errorf("a port of another NIC: %v", err)
	}

	check(t, m.UpdateNIC(ctx, a.with(port(TCP, 8080, 80))))
	l.never(l.outside, "tcp", hostAddr+":8081")
	l.never(l.host, "tcp", "127.0.0.1:8081")
	check(t, m.UpdateNIC(ctx, b))
	l.reaches(l.outside, "tcp", hostAddr+":8081", outsideAddr)
	stays.alive("after another port moved")
	stays6.alive("after another port moved")
	goes.dead("after its port moved")
	goes6.dead("after its port moved")
	check(t, m.Detach(ctx, a.ID))
	l.never(l.outside, "tcp", hostAddr+":8080")
	l.reaches(l.outside, "tcp", hostAddr+":8081", outsideAddr)
}

// A datagram of an old conversation finds the port's new owner.
func TestPortMovesUnderUDP(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	a, b := nicAt("one", 2), nicAt("one", 3)
	heard := map[string]net.PacketConn{"a": listen(t, l.attach(m, a), ":53"), "b": listen(t, l.attach(m, b), ":53")}
	from := listen(t, l.outside, outsideAddr+":5353")
	for _, owner := range []string{"a", "b", "a"} {
		n, other := a, b
		if owner == "b" {
			n, other = b, a
		}
		check(t, m.UpdateNIC(ctx, other))
		check(t, m.UpdateNIC(ctx, n.with(port(UDP, 5300, 53))))
		_, err := from.WriteTo([]byte(owner), &net.UDPAddr{IP: net.ParseIP(hostAddr), Port: 5300})
		check(t, err)
		heard[owner].SetDeadline(time.Now().Add(patience))
		buf := make([]byte, 10)
		if k, _, err := heard[owner].ReadFrom(buf); err != nil || string(buf[:k]) != owner {
			t.Errorf("to %s: %q %v", owner, buf[:k], err)
		}
	}
}

func TestPortConflicts(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	a, b := nicAt("one", 2).with(port(TCP, 8080, 80)), nicAt("one", 3)
	l.serve(l.attach(m, a), ":80")
	l.attach(m, b)
	l.serve(l.host, hostAddr+":9090")
	one := Port{Protocol: TCP, Host: netip.MustParseAddr(hostAddr), HostPort: 8080, Target: 80}
	for _, c := range []struct {
		port Port
		code api.Code
		says string
	}{
		{port(TCP, 8080, 80), api.Conflict, a.ID},
		{one, api.Conflict, a.ID},
		{port(TCP, 9090, 80), api.Conflict, fmt.Sprintf("(process %d)", os.Getpid())},
		{port(UDP, 9090, 80), api.Conflict, fmt.Sprintf("(process %d)", os.Getpid())},
		{Port{Protocol: TCP, Host: netip.MustParseAddr("198.51.100.1"), HostPort: 8081, Target: 80}, api.Invalid, "not an address of the host"},
		{port(ICMP, 8081, 80), api.Invalid, "icmp"},
		{port(TCP, 0, 80), api.Invalid, "0 is no port"},
	} {
		err := m.UpdateNIC(ctx, b.with(port(TCP, 7070, 70), c.port))
		if api.CodeOf(err) != c.code || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v, want %s with %q", c.port, err, c.code, c.says)
		}
	}
	if err := m.UpdateNIC(ctx, b.with(port(TCP, 7070, 70), port(TCP, 7070, 71))); api.CodeOf(err) != api.Invalid {
		t.Errorf("one port twice: %v", err)
	}
	check(t, m.UpdateNIC(ctx, b.with(port(TCP, 7070, 70)))) // what was claimed for a refused change is free
	l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)

	// A port is the host's again when nobody publishes it, and not before.
	check(t, l.host.within(func() error {
		if ln, err := net.Listen("tcp", ":8080"); err == nil {
			ln.Close()
			t.Error("a program of the host can take a published port")
		}
		return nil
	}))
	check(t, m.Detach(ctx, a.ID))
	l.serve(l.host, hostAddr+":8080")
	l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)
}

// Published on one address of the host, two NICs can have one port.
func TestPortOfOneAddress(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	on := func(a string) Port {
		return Port{Protocol: TCP, Host: netip.MustParseAddr(a), HostPort: 8080, Target: 80}
	}
	a, b := nicAt("one", 2).with(on(hostAddr)), nicAt("one", 3).with(on("127.0.0.1"))
	l.serve(l.attach(m, a), ":80")
	l.attach(m, b) // serves nothing
	l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)
	l.reaches(l.host, "tcp", hostAddr+":8080", hostAddr)
	l.never(l.host, "tcp", "127.0.0.1:8080")
	l.never(l.host, "tcp", "127.0.0.2:8080")
	check(t, m.UpdateNIC(ctx, nicAt("one", 3)))
	check(t, m.UpdateNIC(ctx, nicAt("one", 2).with(on(hostAddr), on("127.0.0.1"))))
	l.reaches(l.host, "tcp", "127.0.0.1:8080", m.vpcs["one"].slot.String())
}

func TestFreePort(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	for i, p := range []Protocol{TCP, UDP} {
		free, err := m.FreePort(p)
		check(t, err)
		l.attach(m, nicAt("one", byte(2+i)).with(port(p, free, 80)))
	}
}

func TestCheckPort(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	l.serve(l.host, ":90")
	l.attach(m, nicAt("one", 2).with(port(TCP, 8080, 80)))
	absent := port(TCP, 8081, 80)
	absent.Host = addr("192.0.2.77")
	for _, c := range []struct {
		port Port
		code api.Code
	}{
		{port(TCP, 90, 80), api.Conflict}, {port(UDP, 90, 80), api.Conflict}, {port(TCP, 91, 80), ""}, {port(UDP, 91, 80), ""},
		{port(TCP, 8080, 80), ""}, // a NIC's own
		{absent, api.Invalid}, {port(ICMP, 8081, 80), api.Invalid},
	} {
		for range 2 { // nothing is held
			if err := m.CheckPort(c.port); err != nil && api.CodeOf(err) != c.code || err == nil && c.code != "" {
				t.Errorf("%s: %v, want %q", c.port, err, c.code)
			}
		}
	}
}
