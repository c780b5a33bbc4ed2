package network

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestEgressModes(t *testing.T) { eachKind(t, testEgressModes) }

func testEgressModes(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("default")
	l.ensure(m, v)
	na := nicAt("default", 2).dual().as(kind)
	a, b := l.attach(m, na), l.attach(m, nicAt("default", 3).dual())
	metadata := addr("169.254.169.254")
	check(t, l.outside.route.AddrAdd(loopback, &netlink.Addr{IPNet: hostNet(metadata)}))
	check(t, l.host.route.RouteAdd(&netlink.Route{Dst: hostNet(metadata), Gw: addr(outsideAddr).AsSlice()}))
	for _, s := range []*space{b, l.outside, l.host} {
		l.serve(s, ":80")
		l.serve(s, ":81")
	}
	single := func(a string, port uint16) Rule {
		p := addr(a)
		return tcp(port, port, netip.PrefixFrom(p, p.BitLen()).String())
	}
	everything := "oO"
	places := map[string]struct {
		address string
		port    uint16
	}{
		"o": {outsideAddr, 80}, "O": {outsideAddr6, 80}, "p": {outsideAddr, 81},
		"h": {hostAddr, 80}, "H": {hostAddr6, 80}, "i": {hostAddr, 81}, "m": {metadata.String(), 80},
	}
	for name, c := range map[string]struct {
		Egress
		pass string
	}{
		"on":                 {Egress{}, everything + "p"},
		"off":                {Egress{Mode: EgressOff}, ""},
		"off with rules":     {Egress{Mode: EgressOff, Allow: []Rule{{}, single(hostAddr, 80)}}, ""},
		"no rules":           {Egress{Mode: EgressRules}, ""},
		"one port":           {Egress{Mode: EgressRules, Allow: []Rule{tcp(80, 80, "")}}, everything},
		"IPv4":               {Egress{Mode: EgressRules, Allow: []Rule{tcp(0, 0, "192.0.2.0/24")}}, "op"},
		"IPv6":               {Egress{Mode: EgressRules, Allow: []Rule{tcp(0, 0, "2001:db8::/32")}}, "O"},
		"all is not guarded": {Egress{Mode: EgressRules, Allow: []Rule{{}}}, everything + "p"},
		"the host":           {Egress{Allow: []Rule{single(hostAddr, 80)}}, everything + "ph"},
		"the host by rules":  {Egress{Mode: EgressRules, Allow: []Rule{single(hostAddr, 80)}}, "h"},
		"the host by IPv6":   {Egress{Allow: []Rule{single(hostAddr6, 80)}}, everything + "pH"},
		"metadata":           {Egress{Allow: []Rule{single(metadata.String(), 80)}}, everything + "pm"},
		"all link-local":     {Egress{Allow: []Rule{tcp(0, 0, "169.254.0.0/16")}}, everything + "p"},
	} {
		v.Egress = c.Egress
		check(t, m.EnsureVPC(ctx, v))
		for letter, place := range places {
			want := strings.Contains(c.pass, letter)
			_, _, err := connect(a, "tcp", at(addr(place.address), place.port), timeFor(want))
			if (err == nil) != want {
				t.Errorf("%s: %s port %d: %v, want %v", name, place.address, place.port, err, want)
			}
			from := Endpoint{NIC: na.ID}
			if addr(place.address).Is6() {
				from.Address = na.Address6
			}
			verdicts, err := m.Check(ctx, from, Endpoint{Address: addr(place.address)}, TCP, place.port)
			if err != nil || allowed(verdicts) != want {
				t.Errorf("%s: check of %s port %d: %v %v, want %v", name, place.address, place.port, verdicts, err, want)
			}
		}
		l.reaches(a, "tcp", "10.77.0.3:80", "10.77.0.2") // within the VPC nothing changes
	}

	// What another VPC was opened is not open to this one, and goes with it.
	v.Egress = Egress{}
	other := l.vpc("other")
	other.HostReachable, other.Egress = false, Egress{Allow: []Rule{single(hostAddr, 80)}}
	check(t, m.EnsureVPC(ctx, v))
	l.ensure(m, other)
	l.never(a, "tcp", hostAddr+":80")
	check(t, m.RemoveVPC(ctx, "other"))
	if left, err := m.rules.list(l.prefix, openedSet(ip4)); err != nil || len(left) > 0 {
		t.Errorf("left open: %v %v", left, err)
	}
}

// Closing a VPC cuts what goes out, not what is inside.
func TestEgressChangeCuts(t *testing.T) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("default")
	l.ensure(m, v)
	a, b := l.attach(m, nicAt("default", 2).dual()), l.attach(m, nicAt("default", 3))
	l.serve(l.outside, ":80")
	l.serve(b, ":80")
	out, out6, inside := l.flow(a, outsideAddr+":80"), l.flow(a, "["+outsideAddr6+"]:80"), l.flow(a, "10.77.0.3:80")
	v.Egress = Egress{Mode: EgressRules, Allow: []Rule{tcp(80, 80, outsideAddr+"/32")}}
	check(t, m.EnsureVPC(ctx, v))
	out.alive("that a rule allows")
	out6.dead("that no rule allows")
	v.Egress = Egress{Mode: EgressOff}
	check(t, m.EnsureVPC(ctx, v))
	out.dead("of a closed VPC")
	inside.alive("inside")
}
