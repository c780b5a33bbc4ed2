package network

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"cis/api"
)

// whole is what the kernel has of published ports and public addresses: elements of
// maps, routes and proxy entries.
func (l *lab) whole(m *Manager) (all []string) {
	l.t.Helper()
	check(l.t, m.edge.readHost(m.rules, l.prefix))
	note := func(where string, c *ledger) {
		for key, value := range c.have {
			all = append(all, fmt.Sprintf("%s %s %x %x", where, c.set.Name, key, value))
		}
	}
	note("host", m.edge.cidrs)
	for _, f := range families {
		h := m.edge.nat[f.number]
		note("host", h.ports)
		note("host", h.anyPorts)
		note("host", h.public)
		for id, v := range m.vpcs {
			check(l.t, m.edge.readVPC(v))
			note(id, v.nat[f.number].linkPorts)
			note(id, v.nat[f.number].guardedPorts)
			note(id, v.nat[f.number].toPrivate)
			note(id, v.nat[f.number].toPublic)
		}
	}
	routes, err := m.publicRoutes()
	check(l.t, err)
	for _, r := range routes {
		all = append(all, fmt.Sprint("route ", r.Dst, " via ", r.Gw))
	}
	proxies, err := l.host.proxies()
	check(l.t, err)
	for _, p := range proxies {
		all = append(all, fmt.Sprint("proxy ", p.IP, " on ", p.LinkIndex))
	}
	slices.Sort(all)
	return all
}

// Whatever is removed, changed or left behind, Reconcile makes it as it was; what it
// need not touch goes on.
func TestReconcileRepairsTheEdge(t *testing.T) {
	l := newLab(t)
	m := l.open()
	one, two := l.vpc("one"), l.vpc("two")
	two.HostReachable = false
	a, b, c := nicAt("one", 2).with(webPorts...).known(publicOne), nicAt("one", 3), nicAt("two", 2).with(port(TCP, 8081, 80))
	a.Ports = append(a.Ports, Port{Protocol: TCP, Host: netip.MustParseAddr(hostAddr), HostPort: 9090, Target: 80})
	open := []Group{openGroup}
	state := State{VPCs: []VPC{one, two}, Groups: map[string][]Group{"one": open, "two": open}, NICs: []NIC{a, b, c}}
	check(t, m.Reconcile(ctx, state))
	for _, n := range state.NICs {
		l.serve(l.enter(m.link(m.vpcs[n.VPC], n)), ":80")
	}
	l.meet(publicOne)
	want := l.whole(m)
	flows := []*flow{l.flow(l.outside, hostAddr+":8080"), l.flow(l.outside, publicOne+":80"), l.flow(l.outside, hostAddr+":8081")}
	host := func(command, rest string) func() {
		return func() { l.nft(command + " inet " + l.prefix + " " + rest) }
	}
	inVPC := func(command, rest string) func() {
		return func() { nftIn(t, m.vpcs["one"].space, command+" inet "+l.prefix+" "+rest) }
	}
	wan, err := l.host.route.LinkByName("wan")
	check(t, err)
	stray := netip.MustParseAddr(publicTwo)
	uplink := func() netlink.Link {
		link, err := l.host.route.LinkByName(uplinkHostName(l.prefix, "one"))
		check(t, err)
		return link
	}
	damages := map[string]func(){
		"nothing":             func() {},
		"host's table":        host("delete table", ""),
		"host's ports":        host("flush map", "anyports"),
		"host's public":       host("flush set", "public"),
		"host's CIDRs":        host("flush set", "cidrs"),
		"host's chain":        host("delete chain", "translate"),
		"host's other port":   host("add element", "anyports { tcp . 81 : 169.254.128.1 . 81 }"),
		"host's other public": host("add element", "public { "+publicTwo+" }"),
		"VPC's table":         inVPC("delete table", ""),
		"VPC's ports":         inVPC("flush map", "linkports"),
		"VPC's public":        inVPC("flush map", "toprivate"),
		"VPC's private":       inVPC("flush map", "topublic"),
		"VPC's other port":    inVPC("add element", "linkports { udp . 99 : 10.77.0.3 . 99 }"),
		"VPC's other public":  inVPC("add element", "toprivate { "+publicTwo+" : 10.77.0.3 }"),
		"a port's target": func() {
			inVPC("delete element", "linkports { tcp . 8080 }")()
			inVPC("add element", "linkports { tcp . 8080 : 10.77.0.3 . 1 }")()
		},
		"route": func() { check(t, l.host.route.RouteDel(&netlink.Route{Dst: hostNet(a.Public[0])})) },
		"proxy": func() { check(t, l.host.route.NeighDel(proxyEntry(wan.Attrs().Index, a.Public[0]))) },
		"stray address, whole": func() {
			host("add element", "public { "+publicTwo+" }")()
			check(t, l.host.route.NeighSet(proxyEntry(wan.Attrs().Index, stray)))
			check(t, l.host.route.RouteReplace(&netlink.Route{LinkIndex: uplink().Attrs().Index, Dst: hostNet(stray), Gw: m.vpcs["one"].slot.Next().AsSlice()}))
		},
		"uplink": func() { check(t, l.host.route.LinkDel(uplink())) },
		"loopback shut": func() {
			check(t, l.host.within(func() error {
				return ensureSysctls([]sysctl{{"net/ipv4/conf/" + uplink().Attrs().Name + "/route_localnet", "0"}})
			}))
		},
		"restart": func() {
			m.Close()
			m = l.open()
		},
		"crash in an unpublished change": func() {
			check(t, m.UpdateNIC(ctx, b.with(port(TCP, 8082, 80)).known(publicTwo)))
			m.Close()
			m = l.open()
		},
	}
	for _, what := range slices.Sorted(maps.Keys(damages)) {
		damages[what]()
		check(t, m.Reconcile(ctx, state))
		if got := l.whole(m); !slices.Equal(got, want) {
			t.Errorf("%s: have\n%q\nwant\n%q", what, got, want)
		}
		for _, f := range flows {
			f.alive(what)
		}
		l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)
		l.reaches(l.outside, "tcp", hostAddr+":9090", outsideAddr)
		l.reaches(l.outside, "udp", publicOne+":80", outsideAddr)
		l.reaches(l.host, "tcp", "127.0.0.1:8080", m.vpcs["one"].slot.String())
	}
	foreign := netip.MustParseAddr("192.0.2.200")
	check(t, l.host.route.NeighSet(proxyEntry(wan.Attrs().Index, foreign)))
	check(t, m.Reconcile(ctx, State{VPCs: []VPC{two}}))
	m.Close()
	check(t, Clean(ctx, l.prefix, l.state))
	proxies, err := l.host.proxies()
	check(t, err)
	if len(proxies) != 1 || !proxies[0].IP.Equal(foreign.AsSlice()) {
		t.Errorf("the host answers for %v, want %v, which somebody else set, alone", proxies, foreign)
	}
}

// Clean takes public addresses off the host, whoever made them.
func TestCleanTakesPublicAddressesOff(t *testing.T) {
	l := newLab(t)
	before := l.trace()
	m := l.open()
	l.ensure(m, l.vpc("one"))
	l.attach(m, nicAt("one", 2).with(webPorts...).known(publicOne).limited(10, 10))
	m.Close()
	check(t, Clean(ctx, l.prefix, l.state))
	if after := l.trace(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("left:\n%+v\nbefore:\n%+v", after, before)
	}
	if proxies, err := l.host.proxies(); err != nil || len(proxies) != 0 {
		t.Errorf("the host answers for %v %v", proxies, err)
	}
}

// A program that took a port while the server was down keeps it, and the NIC all else.
func TestReconcileFindsPortTaken(t *testing.T) {
	l := newLab(t)
	m := l.open()
	n := nicAt("one", 2).with(webPorts...)
	check(t, m.Reconcile(ctx, l.wants("one", n)))
	a := l.enter(m.link(m.vpcs["one"], n))
	l.serve(a, ":80")
	l.serve(l.outside, ":80")
	m.Close()
	var taken net.Listener
	check(t, l.host.within(func() (err error) { taken, err = net.Listen("tcp4", ":8080"); return err }))
	m = l.open()
	if err := m.Reconcile(ctx, l.wants("one", n)); api.CodeOf(err) != api.Conflict {
		t.Errorf("a port that is taken: %v", err)
	}
	l.reaches(a, "tcp", outsideAddr+":80", hostAddr)
	l.reaches(l.host, "tcp", "10.77.0.2:80", m.vpcs["one"].slot.String())
	check(t, taken.Close())
	check(t, m.Reconcile(ctx, l.wants("one", n)))
	l.reaches(l.outside, "tcp", hostAddr+":8080", outsideAddr)
}

// An Attach that fails for its port leaves nothing.
func TestAttachWithPortTaken(t *testing.T) { eachKind(t, testAttachWithPortTaken) }

func testAttachWithPortTaken(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("one"))
	l.attach(m, nicAt("one", 2).with(webPorts...))
	before := l.whole(m)
	second := nicAt("one", 3).as(kind).with(port(TCP, 8081, 80), port(TCP, 8080, 80)).limited(1, 1)
	if _, err := m.Attach(ctx, second); api.CodeOf(err) != api.Conflict {
		t.Errorf("a port that is taken: %v", err)
	}
	if after := l.whole(m); !slices.Equal(after, before) {
		t.Errorf("left:\n%q\nbefore:\n%q", after, before)
	}
	eventually(t, "links to go", func() bool { return len(l.links(m.vpcs["one"].space)) == 3 })
	second.Ports = second.Ports[:1]
	l.attach(m, second)
}
