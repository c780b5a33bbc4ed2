package network

import (
	"fmt"
	"net/netip"
	"testing"

	"cis/api"
)

// proxied is what a VPC's programs do: they lead ports of the router, a public address and
// one of a network of services on to a NIC.
func (l *lab) proxied(s *space, to NIC) {
	l.t.Helper()
	nftIn(l.t, s, fmt.Sprintf(`
		add table ip proxy
		add chain ip proxy in { type nat hook prerouting priority dstnat; }
		add rule ip proxy in ip daddr 169.254.128.0/20 meta l4proto { tcp, udp } th dport 30080 dnat to %[1]s:80
		add rule ip proxy in ip daddr { %[2]s, 10.96.0.10 } meta l4proto { tcp, udp } th dport 80 dnat to %[1]s
		add rule ip proxy in ip daddr 10.96.0.1 tcp dport 443 dnat to %[3]s`, to.Address, publicOne, at(Services, 443)))
}

var routerWays = Ways{
	Ports:  []Port{{Protocol: TCP, HostPort: 8080, Target: 30080}, {Protocol: UDP, HostPort: 8080, Target: 30080}},
	Public: []netip.Addr{netip.MustParseAddr(publicOne)},
	Routes: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
}

// What leads to a router is led on by its programs, and the receiver's groups decide.
func TestWays(t *testing.T) { eachKind(t, testWays) }

func testWays(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	v, other := l.vpc("one"), l.vpc("two")
	v.Ways = routerWays
	other.HostReachable = false
	guarded := Group{ID: "guarded", Ingress: []Rule{tcp(80, 80, outsideAddr+"/32")}, Egress: []Rule{{}}}
	l.ensure(m, v, openGroup, guarded)
	l.ensure(m, other)
	n := nicAt("one", 2).as(kind)
	web, sibling, stranger := l.attach(m, n), l.attach(m, nicAt("one", 3).as(kind)), l.attach(m, nicAt("two", 2).as(kind))
	l.serve(web, ":80")
	l.serve(m.vpcs["one"].space, at(Services, 443))
	l.never(l.outside, "tcp", publicOne+":80")
	l.proxied(m.vpcs["one"].space, n)
	l.meet(publicOne)
	host := m.vpcs["one"].slot.String()
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(l.outside, network, publicOne+":80", outsideAddr)
		l.reaches(l.outside, network, hostAddr+":8080", outsideAddr)
		l.reaches(l.host, network, publicOne+":80", host)
		l.reaches(l.host, network, "127.0.0.1:8080", host)
		l.reaches(l.host, network, "10.96.0.10:80", host)
		l.reaches(sibling, network, publicOne+":80", "10.77.0.3")
		l.reaches(stranger, network, publicOne+":80", m.vpcs["two"].slot.Next().String())
		l.never(l.outside, network, publicOne+":81")
	}
	l.reaches(l.host, "tcp", "10.96.0.1:443", host)
	l.never(l.host, "tcp", at(Services, 443))
	l.never(stranger, "tcp", "10.96.0.10:80")

	// Groups see who comes.
	check(t, m.UpdateNIC(ctx, n.in("guarded")))
	l.reaches(l.outside, "tcp", publicOne+":80", outsideAddr)
	l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)
	l.never(l.outside, "udp", publicOne+":80")
	l.never(sibling, "tcp", publicOne+":80")
	l.never(stranger, "tcp", publicOne+":80")
	verdicts, err := m.Check(ctx, Endpoint{NIC: "i-two-2"}, Endpoint{Address: netip.MustParseAddr(publicOne)}, TCP, 80)
	if err != nil || !allowed(verdicts) || len(verdicts) != 3 {
		t.Errorf("check: %v %v", verdicts, err)
	}

	// Another server adopts it all; what is taken away leads nowhere, and its connections end.
	kept, cut := l.flow(l.outside, hostAddr+":8080"), l.flow(l.outside, publicOne+":80")
	m.Close()
	m = l.open()
	want := State{VPCs: []VPC{v, other}, Groups: map[string][]Group{"one": {openGroup, guarded}, "two": {openGroup}},
		NICs: []NIC{n.in("guarded"), nicAt("one", 3).as(kind), nicAt("two", 2).as(kind)}}
	check(t, m.Reconcile(ctx, want))
	kept.alive("after a restart")
	cut.alive("after a restart")
	v.Ways.Public, v.Ways.Routes = nil, nil
	check(t, m.EnsureVPC(ctx, v))
	kept.alive("after another way went")
	cut.dead("after its way went")
	l.never(l.outside, "tcp", publicOne+":80")
	l.never(l.host, "tcp", "10.96.0.10:80")
	l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)
	want.VPCs[0] = v
	want.VPCs[0].Ways = Ways{}
	check(t, m.Reconcile(ctx, want))
	kept.dead("after its way went")
	l.never(l.outside, "tcp", hostAddr+":8080")
}

// A route that nobody wants any more, as after a crash, goes.
func TestWaysAreSwept(t *testing.T) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("one")
	v.Ways = routerWays
	l.ensure(m, v)
	l.proxied(m.vpcs["one"].space, nicAt("one", 2))
	m.Close()
	m = l.open()
	check(t, m.Reconcile(ctx, l.wants("one", nicAt("one", 2))))
	routes, err := l.host.route.RouteList(nil, 0)
	check(t, err)
	for _, r := range routes {
		if p := prefixOf(r.Dst); p == routerWays.Routes[0] || p.Addr() == routerWays.Public[0] {
			t.Errorf("the route to %s is left", p)
		}
	}
	ours, err := l.host.proxies()
	check(t, err)
	if len(ours) != 0 {
		t.Errorf("the host still answers for %v", ours)
	}
}

func TestWaysRefusals(t *testing.T) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("one")
	l.ensure(m, v)
	l.attach(m, nicAt("one", 2).with(Port{Protocol: TCP, HostPort: 7000, Target: 80}).known(publicTwo))
	port := func(host, target uint16) Ways {
		return Ways{Ports: []Port{{Protocol: TCP, HostPort: host, Target: target}}}
	}
	route := func(s string) Ways { return Ways{Routes: []netip.Prefix{netip.MustParsePrefix(s)}} }
	for want, all := range map[api.Code][]Ways{
		api.Conflict: {port(7000, 30000), port(30000, 7000), {Public: []netip.Addr{netip.MustParseAddr(publicTwo)}}},
		api.Invalid:  {route("192.0.2.0/24"), route("10.77.0.0/24"), route("10.96.0.1/32"), route("169.254.0.0/24"), {Public: []netip.Addr{netip.MustParseAddr(hostAddr)}}},
	} {
		for _, w := range all {
			v.Ways = w
			if err := m.EnsureVPC(ctx, v); api.CodeOf(err) != want {
				t.Errorf("%v: %v, want %s", w, err, want)
			}
		}
	}
	v.Ways = routerWays
	check(t, m.EnsureVPC(ctx, v))
	two := l.vpc("two")
	two.HostReachable, two.Ways = false, route("10.96.0.0/12")
	if err := m.EnsureVPC(ctx, two); api.CodeOf(err) != api.Invalid {
		t.Errorf("a network of another VPC: %v", err)
	}
	// An address and ports of a VPC that goes are free again.
	check(t, m.RemoveVPC(ctx, "two"))
	check(t, m.Detach(ctx, "i-one-2"))
	check(t, m.RemoveVPC(ctx, "one"))
	two.Ways = routerWays
	check(t, m.EnsureVPC(ctx, two))
}
