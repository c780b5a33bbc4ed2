package network

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"cis/api"
)

// trace is all that can be left on a lab's host.
type trace struct {
	Links, Spaces []string
	Rules         string
	Routes        string
	Forward       string
}

func (l *lab) trace() (tr trace) {
	l.t.Helper()
	links, err := l.host.route.LinkList()
	check(l.t, err)
	for _, k := range links {
		tr.Links = append(tr.Links, k.Attrs().Name)
	}
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), l.prefix+"-") {
			tr.Spaces = append(tr.Spaces, e.Name())
		}
	}
	check(l.t, l.host.within(func() error {
		rules, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
		if err != nil {
			return fmt.Errorf("nft: %s", rules)
		}
		forward, err := os.ReadFile(sysctlDir + forwarding.path)
		tr.Rules, tr.Forward = string(rules), string(forward)
		return err
	}))
	routes, err := l.host.route.RouteList(nil, netlink.FAMILY_V4)
	check(l.t, err)
	tr.Routes = fmt.Sprint(routes)
	return tr
}

func TestCleanLeavesNothing(t *testing.T) { eachKind(t, testCleanLeavesNothing) }

func testCleanLeavesNothing(t *testing.T, kind NICKind) {
	l := newLab(t)
	l.nft("add table inet theirs")
	before := l.trace()
	m := l.open()
	for _, id := range []string{"one", "two"} {
		v := l.vpc(id)
		v.HostReachable = id == "one"
		l.ensure(m, v)
		l.attach(m, nicAt(id, 2).as(kind))
	}
	if reflect.DeepEqual(l.trace(), before) {
		t.Fatal("nothing was made")
	}
	m.Close()
	check(t, Clean(ctx, l.prefix, l.state))
	if after := l.trace(); !reflect.DeepEqual(uncounted(after), uncounted(before)) {
		t.Errorf("left behind:\n%+v\nbefore:\n%+v", after, before)
	}
	if _, err := os.Stat(l.state); err == nil {
		t.Error("the state file is still there")
	}
	check(t, Clean(ctx, l.prefix, l.state)) // again
}

func TestForwardingThatWasOnStaysOn(t *testing.T) {
	l := newLab(t)
	check(t, enableForwarding(""))
	m := l.open()
	m.Close()
	check(t, Clean(ctx, l.prefix, l.state))
	if got := strings.TrimSpace(l.trace().Forward); got != "1" {
		t.Errorf("ip_forward is %s", got)
	}
}

func TestEnsureAndAttachAreIdempotent(t *testing.T) { eachKind(t, testEnsureAndAttachAreIdempotent) }

func testEnsureAndAttachAreIdempotent(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	n := nicAt("default", 2).as(kind)
	a := l.attach(m, n)
	l.serve(l.outside, ":80")
	l.serve(a, ":80")
	out, in := l.flow(a, outsideAddr+":80"), l.flow(l.host, "10.77.0.2:80")
	before := l.trace()
	for range 3 {
		l.ensure(m, l.vpc("default"))
		_, err := m.Attach(ctx, n)
		check(t, err)
		check(t, m.Reconcile(ctx, l.wants("default", n)))
	}
	if after := l.trace(); !reflect.DeepEqual(uncounted(after), uncounted(before)) {
		t.Errorf("changed:\n%+v\nbefore:\n%+v", after, before)
	}
	out.alive("after doing everything again")
	in.alive("after doing everything again")
	for range 2 {
		check(t, m.Detach(ctx, n.ID))
	}
	for range 2 {
		check(t, m.RemoveVPC(ctx, "default"))
	}
}

func TestRestartAdopts(t *testing.T) { eachKind(t, testRestartAdopts) }

func testRestartAdopts(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	n := nicAt("default", 2).as(kind)
	a := l.attach(m, n)
	l.serve(l.outside, ":80")
	l.serve(a, ":80")
	out, in := l.flow(a, outsideAddr+":80"), l.flow(l.host, "10.77.0.2:80")
	before := l.trace()
	m.Close()
	out.alive("without a server")
	m = l.open()
	check(t, m.Reconcile(ctx, l.wants("default", n)))
	out.alive("after the restart")
	in.alive("after the restart")
	if after := l.trace(); !reflect.DeepEqual(uncounted(after), uncounted(before)) {
		t.Errorf("changed:\n%+v\nbefore:\n%+v", after, before)
	}
	m.Close()

	m = l.open() // and by Attach instead of Reconcile
	l.ensure(m, l.vpc("default"))
	_, err := m.Attach(ctx, n)
	check(t, err)
	out.alive("after the second restart")
	m.Close()

	m = l.open() // a server that knows of nothing removes it all
	check(t, m.Detach(ctx, n.ID))
	check(t, m.Reconcile(ctx, State{}))
	if s := l.trace().Spaces; len(s) != 0 {
		t.Errorf("left: %v", s)
	}
}

// Whatever is removed by hand, Reconcile brings back; what runs beside it goes on.
func TestReconcileRepairs(t *testing.T) { eachKind(t, testReconcileRepairs) }

func testReconcileRepairs(t *testing.T, kind NICKind) {
	inVPC := func(m *Manager) *space { return m.vpcs["default"].space }
	a, b := nicAt("default", 2).dual().as(kind), nicAt("default", 3).dual()
	cases := map[string]struct {
		damage func(t *testing.T, m *Manager)
		fatal  bool // for the NIC of a, and so its flow
	}{
		"outer link": {func(t *testing.T, m *Manager) { check(t, inVPC(m).route.LinkDel(m.outer(t, a))) }, true},
		"outer link down": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.LinkSetDown(m.outer(t, a)))
		}, false},
		"route to NIC": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.RouteDel(nicRoute(a, m.outer(t, a))))
		}, false},
		"stray route": {func(t *testing.T, m *Manager) {
			stray := nicAt("default", 9)
			check(t, inVPC(m).route.RouteAdd(nicRoute(stray, m.outer(t, a))))
		}, false},
		"neighbour": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.NeighDel(permanent(m.outer(t, a), a.Address, nicMAC(a.Address))))
		}, false},
		"NIC's namespace": {func(t *testing.T, m *Manager) {
			check(t, exec.Command("ip", "netns", "del", filepath.Base(m.link(m.vpcs["default"], a).NetNS)).Run())
		}, false},
		"VPC's namespace": {func(t *testing.T, m *Manager) {
			check(t, exec.Command("ip", "netns", "del", vpcSpaceName(m.cfg.Prefix, "default")).Run())
		}, false},
		"uplink": {func(t *testing.T, m *Manager) {
			link, err := m.host.route.LinkByName(uplinkHostName(m.cfg.Prefix, "default"))
			check(t, err)
			check(t, m.host.route.LinkDel(link))
		}, false}, // fatal for its flow: the kernel forgets what it translated to a link that goes
		"uplink's address": {func(t *testing.T, m *Manager) {
			link, err := m.host.route.LinkByName(uplinkHostName(m.cfg.Prefix, "default"))
			check(t, err)
			addrs, err := m.host.route.AddrList(link, netlink.FAMILY_V4)
			check(t, err)
			check(t, m.host.route.AddrDel(link, &addrs[0]))
		}, false},
		"host's route": {func(t *testing.T, m *Manager) {
			check(t, m.host.route.RouteDel(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("10.77.0.0/16"))}))
		}, false},
		"host's table":     {func(t *testing.T, m *Manager) { nftIn(t, m.host, "delete table inet "+m.cfg.Prefix) }, false},
		"chain":            {func(t *testing.T, m *Manager) { nftIn(t, m.host, "delete chain inet "+m.cfg.Prefix+" guard") }, false},
		"rules of a chain": {func(t *testing.T, m *Manager) { nftIn(t, m.host, "flush chain inet "+m.cfg.Prefix+" input") }, false},
		"foreign chain":    {func(t *testing.T, m *Manager) { nftIn(t, m.host, "add chain inet "+m.cfg.Prefix+" mine") }, false},
		"foreign rule":     {func(t *testing.T, m *Manager) { nftIn(t, m.host, "add rule inet "+m.cfg.Prefix+" input accept") }, false},
		"VPC's table":      {func(t *testing.T, m *Manager) { nftIn(t, inVPC(m), "delete table inet "+m.cfg.Prefix) }, false},
		"VPC's elements":   {func(t *testing.T, m *Manager) { nftIn(t, inVPC(m), "flush set inet "+m.cfg.Prefix+" nics") }, false},
		"groups' rules": {func(t *testing.T, m *Manager) {
			for _, set := range []string{"set ingress-peers", "set egress-peers", "set ingress-peers6", "set egress-peers6", "map profiles", "map profiles6"} {
				kind, name, _ := strings.Cut(set, " ")
				nftIn(t, inVPC(m), "flush "+kind+" inet "+m.cfg.Prefix+" "+name)
			}
		}, false},
		"another profile": {func(t *testing.T, m *Manager) {
			nftIn(t, inVPC(m), "delete element inet "+m.cfg.Prefix+" profiles { 10.77.0.2 }")
			nftIn(t, inVPC(m), "add element inet "+m.cfg.Prefix+" profiles { 10.77.0.2 : 7 }")
		}, false},
		"foreign opening": {func(t *testing.T, m *Manager) {
			nftIn(t, m.host, "add element inet "+m.cfg.Prefix+` opened-services { "x" . 192.0.2.1 . 80 . 6 . 0-65535 }`)
		}, false},
		"a rule too many": {func(t *testing.T, m *Manager) {
			nftIn(t, m.host, "add element inet "+m.cfg.Prefix+" opened-services { "+uplinkHostName(m.cfg.Prefix, "default")+" . 192.0.2.1 . 80 . 6 . 0-65535 }")
		}, false},
		"a set": {func(t *testing.T, m *Manager) {
			nftIn(t, inVPC(m), "flush ruleset")
			nftIn(t, inVPC(m), "add table inet "+m.cfg.Prefix)
			nftIn(t, inVPC(m), "add set inet "+m.cfg.Prefix+" foreign { type ipv4_addr; }")
		}, false},
		"gateway's IPv6 address": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.AddrDel(m.outer(t, a), &netlink.Addr{IPNet: hostNet(Gateway6)}))
		}, false},
		"IPv6 route to NIC": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.RouteDel(nicRoute6(a, m.vpcs["default"].VPC, m.outer(t, a))))
		}, false},
		"IPv6 neighbour": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.NeighDel(permanent(m.outer(t, a), a.Address6, nicMAC(a.Address))))
		}, false},
		"IPv6 way out": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.RouteDel(&netlink.Route{Dst: ipNet(everywhere[false])}))
		}, false},
		"host's IPv6 route": {func(t *testing.T, m *Manager) {
			check(t, m.host.route.RouteDel(&netlink.Route{Dst: ipNet(cidr6("default"))}))
		}, false},
		"IPv6 off": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).within(func() error {
				return ensureSysctls([]sysctl{{"net/ipv6/conf/all/disable_ipv6", "1"}})
			}))
		}, false},
		"IPv6 forwarding": {func(t *testing.T, m *Manager) {
			check(t, m.host.within(func() error { return ensureSysctls([]sysctl{{forwarding6.path, "0"}}) }))
		}, false},
		"foreign element": {func(t *testing.T, m *Manager) {
			nftIn(t, inVPC(m), "add element inet "+m.cfg.Prefix+" nics { x . 1.2.3.4 }")
		}, false},
		"VPC's own address": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.AddrDel(loopback, &netlink.Addr{IPNet: hostNet(Gateway)}))
		}, false},
		"VPC's way out": {func(t *testing.T, m *Manager) {
			check(t, inVPC(m).route.RouteDel(&netlink.Route{Dst: ipNet(netip.MustParsePrefix("0.0.0.0/0"))}))
		}, false},
		"forwarding": {func(t *testing.T, m *Manager) {
			check(t, m.host.within(func() error { _, err := (sysctl{forwarding.path, "0"}).ensure(); return err }))
		}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			m := l.open()
			nics := []NIC{a, b}
			check(t, m.Reconcile(ctx, l.wants("default", nics...)))
			first, second := l.start(m.link(m.vpcs["default"], a), kind), l.enter(m.link(m.vpcs["default"], b))
			for _, s := range []*space{first, second, l.outside, l.host} {
				l.serve(s, ":80")
			}
			flow, beside := l.flow(first, outsideAddr+":80"), l.flow(l.host, "10.77.0.3:80")
			before := l.trace()
			c.damage(t, m)
			check(t, m.Reconcile(ctx, l.wants("default", nics...)))
			after := l.trace()
			before.Routes, after.Routes = "", "" // links may have other indexes
			slices.Sort(before.Links)
			slices.Sort(after.Links)
			if !reflect.DeepEqual(uncounted(after), uncounted(before)) {
				t.Errorf("not as before:\n%+v\nbefore:\n%+v", after, before)
			}
			if c.fatal {
				first = l.start(m.link(m.vpcs["default"], a), kind)
				l.serve(first, ":80")
			} else if name != "uplink" {
				flow.alive("after the repair")
			}
			beside.alive("after the repair")
			l.reaches(first, "tcp", "10.77.0.3:80", "10.77.0.2")
			l.reaches(second, "tcp", "10.77.0.2:80", "10.77.0.3")
			l.reaches(first, "tcp", outsideAddr+":80", hostAddr)
			l.reaches(l.host, "tcp", "10.77.0.2:80", m.vpcs["default"].slot.String())
			l.never(first, "tcp", hostAddr+":80")
			l.reaches(first, "tcp", at(b.Address6, 80), a.Address6.String())
			l.reaches(second, "tcp", at(a.Address6, 80), b.Address6.String())
			l.reaches(first, "tcp", "["+outsideAddr6+"]:80", hostAddr6)
			l.reaches(l.host, "tcp", at(a.Address6, 80), hostEnd6(cidr6("default")).String())
			have, err := m.vpcs["default"].rules.list(l.prefix, nicsSet(ip4))
			check(t, err)
			if len(have) != 2 {
				t.Errorf("%d NICs may send, want 2", len(have))
			}
			if stray, err := m.vpcs["default"].space.route.RouteGet(nicAt("default", 9).Address.AsSlice()); err == nil && stray[0].LinkIndex == m.outer(t, a).Attrs().Index {
				t.Error("the stray route is still there")
			}
		})
	}
}

// uncounted is the trace without the counters and the order of its chains.
func uncounted(tr trace) trace {
	chains := strings.Split(counters.ReplaceAllString(tr.Rules, "counter"), "\n\n")
	for i, c := range chains {
		chains[i] = strings.Trim(c, "\n\t }")
	}
	slices.Sort(chains)
	tr.Rules = strings.Join(chains, "\n")
	return tr
}

var counters = regexp.MustCompile(`counter packets \d+ bytes \d+`)

// A crash leaves any part of a NIC behind; the next Attach and the next Reconcile
// make it whole.
func TestCrashInTheMiddle(t *testing.T) { eachKind(t, testCrashInTheMiddle) }

func testCrashInTheMiddle(t *testing.T, kind NICKind) {
	n := nicAt("default", 2).as(kind)
	leftovers := map[string]func(t *testing.T, m *Manager){
		"file without namespace": func(t *testing.T, m *Manager) {
			check(t, os.WriteFile(spacePath(nicSpaceName(m.cfg.Prefix, n.ID)), nil, 0o444))
		},
		"namespace without link": func(t *testing.T, m *Manager) {
			fd, err := createSpace(nicSpaceName(m.cfg.Prefix, n.ID))
			check(t, err)
			closeFD(fd)
		},
		"link without alias": func(t *testing.T, m *Manager) {
			_, err := m.Attach(ctx, n)
			check(t, err)
			check(t, m.vpcs["default"].space.route.LinkSetAlias(m.outer(t, n), ""))
		},
		"link without namespace": func(t *testing.T, m *Manager) {
			_, err := m.Attach(ctx, n)
			check(t, err)
			check(t, removeSpace(nicSpaceName(m.cfg.Prefix, n.ID))) // a lab's handle holds it
		},
		"another address": func(t *testing.T, m *Manager) {
			old := n
			old.Address = netip.MustParseAddr("10.77.0.200")
			_, err := m.Attach(ctx, old)
			check(t, err)
		},
		"another kind": func(t *testing.T, m *Manager) {
			_, err := m.Attach(ctx, n.as(Veth+Tap-kind))
			check(t, err)
		},
		"half detached": func(t *testing.T, m *Manager) {
			_, err := m.Attach(ctx, n)
			check(t, err)
			check(t, m.silence(m.vpcs["default"], n))
		},
		"uplink without alias": func(t *testing.T, m *Manager) {
			link, err := m.host.route.LinkByName(uplinkHostName(m.cfg.Prefix, "default"))
			check(t, err)
			check(t, m.host.route.LinkSetAlias(link, ""))
		},
		"VPC's file without namespace": func(t *testing.T, m *Manager) {
			check(t, m.RemoveVPC(ctx, "default"))
			check(t, os.WriteFile(spacePath(vpcSpaceName(m.cfg.Prefix, "default")), nil, 0o444))
		},
	}
	for name, leave := range leftovers {
		for _, by := range []string{"Attach", "Reconcile"} {
			t.Run(name+"/"+by, func(t *testing.T) {
				l := newLab(t)
				m := l.open()
				l.ensure(m, l.vpc("default"))
				leave(t, m)
				m.Close()
				m = l.open()
				if by == "Attach" {
					l.ensure(m, l.vpc("default"))
					_, err := m.Attach(ctx, n)
					check(t, err)
				} else {
					check(t, m.Reconcile(ctx, l.wants("default", n)))
				}
				a := l.start(m.link(m.vpcs["default"], n), kind)
				l.serve(a, ":80")
				l.serve(l.outside, ":80")
				l.reaches(a, "tcp", outsideAddr+":80", hostAddr)
				l.reaches(l.host, "tcp", "10.77.0.2:80", m.vpcs["default"].slot.String())
			})
		}
	}
}

func TestDetachFreesTheAddressAtOnce(t *testing.T) { eachKind(t, testDetachFreesTheAddressAtOnce) }

func testDetachFreesTheAddressAtOnce(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	old := nicAt("default", 2).as(kind)
	held := l.attach(m, old) // its namespace, or its guest, lives on in our hands
	l.serve(l.outside, ":80")
	l.reaches(held, "tcp", outsideAddr+":80", hostAddr)
	check(t, m.Detach(ctx, old.ID))
	l.never(held, "tcp", outsideAddr+":80")
	next := NIC{ID: "next", VPC: "default", Address: old.Address, Kind: kind, Groups: old.Groups}
	a := l.attach(m, next)
	l.serve(a, ":80")
	l.reaches(a, "tcp", outsideAddr+":80", hostAddr)
	l.reaches(l.host, "tcp", "10.77.0.2:80", m.vpcs["default"].slot.String())
	l.never(held, "tcp", outsideAddr+":80")
	check(t, m.Detach(ctx, next.ID))
	again := l.attach(m, old) // while its old link is still dying
	l.reaches(again, "tcp", outsideAddr+":80", hostAddr)
}

func TestRefusals(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a := nicAt("default", 2)
	l.attach(m, a)
	attach := func(n NIC) error { _, err := m.Attach(ctx, n); return err }
	cidr := func(s string) VPC { return VPC{ID: "x", CIDR: netip.MustParsePrefix(s), HostReachable: true} }
	renew := func(id string) error { _, err := m.Renew(ctx, id); return err }
	for name, c := range map[string]struct {
		err  error
		code api.Code
	}{
		"unknown VPC":             {attach(nicAt("nowhere", 2)), api.NotFound},
		"address elsewhere":       {attach(NIC{ID: "x", VPC: "default", Address: netip.MustParseAddr("10.1.1.1")}), api.Invalid},
		"IPv6":                    {attach(NIC{ID: "x", VPC: "default", Address: netip.MustParseAddr("fd00::1")}), api.Invalid},
		"no address":              {attach(NIC{ID: "x", VPC: "default"}), api.Invalid},
		"address of another":      {attach(NIC{ID: "x", VPC: "default", Address: a.Address}), api.Conflict},
		"another address":         {attach(NIC{ID: a.ID, VPC: "default", Address: nicAt("", 9).Address}), api.Conflict},
		"another kind":            {attach(a.as(Tap)), api.Conflict},
		"no such kind":            {attach(nicAt("default", 9).as(Tap + 1)), api.Invalid},
		"owner of a veth":         {attach(NIC{ID: "x", VPC: "default", Address: nicAt("", 9).Address, Owner: 1}), api.Invalid},
		"bad id":                  {attach(NIC{ID: "../x", VPC: "default", Address: a.Address}), api.Invalid},
		"no id":                   {m.Detach(ctx, ""), api.Invalid},
		"VPC in use":              {m.RemoveVPC(ctx, "default"), api.Conflict},
		"another CIDR":            {m.EnsureVPC(ctx, VPC{ID: "default", CIDR: netip.MustParsePrefix("10.9.0.0/16")}), api.Conflict},
		"CIDR of another":         {m.EnsureVPC(ctx, cidr("10.77.4.0/24")), api.Invalid},
		"CIDR of the host":        {m.EnsureVPC(ctx, cidr("192.0.2.0/24")), api.Invalid},
		"CIDR of the links":       {m.EnsureVPC(ctx, cidr("169.254.128.0/24")), api.Invalid},
		"CIDR with host bits":     {m.EnsureVPC(ctx, cidr("10.8.0.1/16")), api.Invalid},
		"CIDR too small":          {m.EnsureVPC(ctx, cidr("10.8.0.0/31")), api.Invalid},
		"CIDR of IPv6":            {m.EnsureVPC(ctx, cidr("fd00::/64")), api.Invalid},
		"bad domain":              {m.EnsureVPC(ctx, VPC{ID: "x", CIDR: netip.MustParsePrefix("10.8.0.0/16"), Domain: "a..b"}), api.Invalid},
		"renew of none":           {renew("nobody"), api.NotFound},
		"prefix with a dash":      {Clean(ctx, "a-b", ""), api.Invalid},
		"prefix too long":         {Clean(ctx, "abcdef", ""), api.Invalid},
		"unknown VPC's namespace": {func() error { _, err := m.NetNS("x"); return err }(), api.NotFound},
	} {
		if got := api.CodeOf(c.err); got != c.code {
			t.Errorf("%s: code %q (%v), want %q", name, got, c.err, c.code)
		}
	}
	if tr := l.trace(); len(tr.Spaces) != 2 {
		t.Errorf("something was half made: %v", tr.Spaces)
	}
}

func TestUplinkRangeRunsOut(t *testing.T) {
	l := newLab(t)
	m := l.open(func(c *Config) { c.Links = netip.MustParsePrefix("169.254.200.0/30") })
	vpc := func(i int) VPC {
		return VPC{ID: fmt.Sprint("v", i), CIDR: netip.MustParsePrefix("10.77.0.0/16")}
	}
	l.ensure(m, vpc(1))
	l.ensure(m, vpc(2))
	if err := m.EnsureVPC(ctx, vpc(3)); api.CodeOf(err) != api.Exhausted {
		t.Errorf("third uplink of two: %v", err)
	}
	check(t, m.RemoveVPC(ctx, "v1"))
	l.ensure(m, vpc(3))
}

func TestManyAtOnceLeakNothing(t *testing.T) { eachKind(t, testManyAtOnceLeakNothing) }

func testManyAtOnceLeakNothing(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	warm := nicAt("default", 250).as(kind)
	_, err := m.Attach(ctx, warm)
	check(t, err)
	check(t, m.Detach(ctx, warm.ID))
	count := func() (fds, links, spaces int) {
		entries, err := os.ReadDir("/proc/self/fd")
		check(t, err)
		all, err := m.vpcs["default"].space.route.LinkList()
		check(t, err)
		return len(entries), len(all), len(l.trace().Spaces)
	}
	eventually(t, "the kernel to remove the first link", func() bool { _, links, _ := count(); return links == 2 })
	fds, links, spaces := count()
	check(t, m.SetGroups(ctx, "default", []Group{openGroup, {ID: "a", Ingress: []Rule{{Group: "b"}}}, {ID: "b"}, {ID: "c"}, {ID: "d"}}))
	const workers, rounds = 10, 100
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				n := nicAt("default", byte(2+w*24+i%24)).dual().as(kind)
				n.Groups = [][]string{{"a"}, {"b", "c"}, {"a", "d"}, {openGroup.ID, "a", "b", "c", "d"}, nil}[i%5]
				if _, err := m.Attach(ctx, n); err != nil {
					t.Error(err)
					return
				}
				if err := m.Detach(ctx, n.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "the kernel to remove the links", func() bool { _, n, _ := count(); return n == links })
	fds2, _, spaces2 := count()
	if fds2 > fds || spaces2 != spaces {
		t.Errorf("%d file descriptors and %d namespaces, before %d and %d", fds2, spaces2, fds, spaces)
	}
	v := m.vpcs["default"]
	for _, set := range []*nftables.Set{nicsSet(ip4), nicsSet(ip6), profilesSet(ip4), profilesSet(ip6)} {
		if left, err := v.rules.list(l.prefix, set); err != nil || len(left) != 0 {
			t.Errorf("set %s: %d left (%v)", set.Name, len(left), err)
		}
	}
	if p := v.policy; len(p.members) != 0 || len(p.profiles) > maxIdle || len(v.owners) != 0 || len(m.nics) != 0 {
		t.Errorf("%d members, %d profiles, %d owners, %d NICs", len(p.members), len(p.profiles), len(v.owners), len(m.nics))
	}
}

// Mend brings back what Reconcile would, and asks for what is wanted before each step.
func TestMend(t *testing.T) {
	l := newLab(t)
	m := l.open()
	a, b := nicAt("default", 2), nicAt("default", 3)
	check(t, m.Reconcile(ctx, l.wants("default", a, b)))
	check(t, m.vpcs["default"].space.route.LinkDel(m.outer(t, a)))
	var steps []string
	held := false
	check(t, m.Mend(ctx, func(_ context.Context, vpc string) (State, func(), error) {
		if held {
			t.Error("asked while what is wanted is held")
		}
		held = true
		steps = append(steps, vpc)
		wanted := []NIC{a, b}
		if vpc != "" {
			wanted = wanted[:1] // the other has gone between the steps
		}
		return l.wants("default", wanted...), func() { held = false }, nil
	}))
	if want := []string{"", "default", ""}; !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
	m.outer(t, a)
	if link, err := findLink(m.vpcs["default"].space.route, outerName(l.prefix, b.ID)); link != nil || err != nil {
		t.Errorf("the NIC that is not wanted any more: %v, %v", link, err)
	}
}
