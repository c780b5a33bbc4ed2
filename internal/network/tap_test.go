package network

import (
	"os"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/api"
)

func TestTapCarriesEverything(t *testing.T) {
	l := newLab(t)
	l.names.set("default", "web", nicAt("default", 4).Address)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	a, b := l.attach(m, nicAt("default", 2).as(Tap)), l.attach(m, nicAt("default", 3))
	c := l.attach(m, nicAt("default", 4).as(Tap))
	for _, s := range []*space{a, b, c, l.outside} {
		l.serve(s, ":80")
	}
	for _, network := range []string{"tcp", "udp"} {
		l.reaches(a, network, "10.77.0.3:80", "10.77.0.2")
		l.reaches(b, network, "10.77.0.2:80", "10.77.0.3")
		l.reaches(a, network, "10.77.0.4:80", "10.77.0.2")
		l.reaches(a, network, outsideAddr+":80", hostAddr)
		l.reaches(l.host, network, "10.77.0.2:80", m.vpcs["default"].slot.String())
		if got := l.said(a, network, "web.default.internal", dns.TypeA); got != "NOERROR 10.77.0.4" {
			t.Errorf("%s: web is %s", network, got)
		}
	}
	for _, to := range []string{Gateway.String(), "10.77.0.3", "10.77.0.4", outsideAddr} {
		l.pings(a, to)
	}
	l.pings(b, "10.77.0.2")
}

func TestTapIsMadeAsAsked(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	n := nicAt("default", 2).as(Tap)
	n.Owner = 4711
	link, err := m.Attach(ctx, n)
	check(t, err)
	path, err := m.NetNS("default")
	check(t, err)
	if link.NetNS != path || link.Name != outerName(l.prefix, n.ID) || !slices.Equal(link.MAC, nicMAC(n.Address)) {
		t.Errorf("link %+v", link)
	}
	tap := m.outer(t, n).(*netlink.Tuntap)
	if tap.Owner != 4711 || tap.NonPersist || tap.Mode != netlink.TUNTAP_MODE_TAP || tap.Flags != netlink.TUNTAP_NO_PI|netlink.TUNTAP_VNET_HDR {
		t.Errorf("tap %+v", tap)
	}
	if !slices.Equal(tap.HardwareAddr, link.GatewayMAC) || tap.Attrs().MTU != link.MTU {
		t.Errorf("tap has %s and MTU %d", tap.HardwareAddr, tap.Attrs().MTU)
	}
	if again, err := m.Renew(ctx, n.ID); err != nil || again.Name != link.Name {
		t.Errorf("renew: %+v %v", again, err)
	}
	if spaces := l.trace().Spaces; len(spaces) != 1 {
		t.Errorf("namespaces %v, want the VPC's only", spaces)
	}
}

func TestOpenTap(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	link, err := m.Attach(ctx, nicAt("default", 2).as(Tap))
	check(t, err)
	veth := nicAt("default", 3)
	l.attach(m, veth)
	f, err := OpenTap(link.NetNS, link.Name)
	check(t, err)
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %x (%v), want close-on-exec", flags, err)
	}
	_, err = OpenTap(link.NetNS, link.Name)
	has(t, err, unix.EBUSY)
	check(t, f.Close())
	f, err = OpenTap(link.NetNS, link.Name) // the next machine
	check(t, err)
	check(t, f.Close())

	before := l.links(m.vpcs["default"].space)
	_, err = OpenTap(link.NetNS, "nobody")
	has(t, err, os.ErrNotExist)
	_, err = OpenTap(link.NetNS+"x", link.Name)
	has(t, err, os.ErrNotExist)
	_, err = OpenTap(link.NetNS, outerName(l.prefix, veth.ID))
	has(t, err, unix.EINVAL)
	if after := l.links(m.vpcs["default"].space); !slices.Equal(after, before) {
		t.Errorf("links %v, before %v", after, before)
	}
}

// A second machine on one tap finds it as the first did, whatever that has set.
func TestTapServesTheNextGuest(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	l.serve(l.outside, ":80")
	link, err := m.Attach(ctx, nicAt("default", 2).as(Tap))
	check(t, err)
	for range 3 {
		g := l.boot(link)
		l.reaches(g.space, "tcp", outsideAddr+":80", hostAddr)
		conn, err := g.tap.SyscallConn()
		check(t, err)
		check(t, conn.Control(func(fd uintptr) {
			check(t, unix.IoctlSetPointerInt(int(fd), unix.TUNSETVNETHDRSZ, 12))
			check(t, unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4))
		}))
		g.halt()
		check(t, m.Reconcile(ctx, l.wants("default", nicAt("default", 2).as(Tap))))
	}
}

// A server that starts anew keeps the taps that are as wanted, held or not, makes
// those that are missing, and takes the others away from whoever holds them.
func TestReconcileTaps(t *testing.T) {
	l := newLab(t)
	m := l.open()
	held, idle, stranger := nicAt("default", 2).as(Tap), nicAt("default", 3).as(Tap), nicAt("default", 4).as(Tap)
	missing, owned := nicAt("default", 5).as(Tap), nicAt("default", 6).as(Tap)
	check(t, m.Reconcile(ctx, l.wants("default", held, idle, stranger, owned)))
	index := func(n NIC) int { return m.outer(t, n).Attrs().Index }
	was := map[string]int{held.ID: index(held), idle.ID: index(idle)}
	l.serve(l.outside, ":80")
	a := l.start(m.link(m.vpcs["default"], held), Tap)
	lost := l.start(m.link(m.vpcs["default"], stranger), Tap)
	flow := l.flow(a, outsideAddr+":80")
	m.Close()

	m = l.open()
	owned.Owner = 4711
	check(t, m.Reconcile(ctx, l.wants("default", held, idle, missing, owned)))
	flow.alive("after the restart")
	if index(held) != was[held.ID] || index(idle) != was[idle.ID] {
		t.Error("a tap that was as wanted was made anew")
	}
	if tap := m.outer(t, owned).(*netlink.Tuntap); tap.Owner != 4711 {
		t.Errorf("tap has owner %d", tap.Owner)
	}
	if link, err := findLink(m.vpcs["default"].space.route, outerName(l.prefix, stranger.ID)); link != nil || err != nil {
		t.Errorf("the tap that nobody wants: %v %v", link, err)
	}
	l.never(lost, "tcp", outsideAddr+":80")
	b := l.start(m.link(m.vpcs["default"], missing), Tap)
	l.reaches(b, "tcp", outsideAddr+":80", hostAddr)
	if keys, err := m.vpcs["default"].rules.list(l.prefix, nicsSet(ip4)); err != nil || len(keys) != 4 {
		t.Errorf("%d NICs may send (%v), want 4", len(keys), err)
	}
}

// What has a tap's name and is not it makes way, unless it is another NIC's.
func TestTapNameClash(t *testing.T) {
	n := nicAt("default", 2).as(Tap)
	for name, c := range map[string]struct {
		alias string
		code  api.Code // "" for a success
		flags netlink.TuntapFlag
		mode  netlink.TuntapMode
	}{
		"nobody's":      {"", "", 0, netlink.TUNTAP_MODE_TAP},
		"another NIC's": {nicAlias("other", n.Address), api.Conflict, 0, netlink.TUNTAP_MODE_TAP},
		"no tap":        {nicAlias(n.ID, n.Address), "", netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR, netlink.TUNTAP_MODE_TUN},
		"many queues":   {nicAlias(n.ID, n.Address), "", netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR | netlink.TUNTAP_MULTI_QUEUE, netlink.TUNTAP_MODE_TAP},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			m := l.open()
			l.ensure(m, l.vpc("default"))
			v := m.vpcs["default"].space
			foreign := tapNamed(outerName(l.prefix, n.ID))
			foreign.Mode, foreign.Flags = c.mode, c.flags
			check(t, v.within(func() error { return netlink.LinkAdd(foreign) }))
			for _, f := range foreign.Fds {
				f.Close()
			}
			check(t, v.route.LinkSetAlias(m.outer(t, n), c.alias))
			_, err := m.Attach(ctx, n)
			if api.CodeOf(err) != c.code {
				t.Fatalf("attach: %v, want code %q", err, c.code)
			}
			if made := m.outer(t, n).Attrs().Alias == nicAlias(n.ID, n.Address); made != (err == nil) {
				t.Errorf("alias %q after %v", m.outer(t, n).Attrs().Alias, err)
			}
		})
	}
}

func TestDetachTakesTheTapAway(t *testing.T) {
	l := newLab(t)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	before := l.links(m.vpcs["default"].space)
	n := nicAt("default", 2).as(Tap)
	for _, restart := range []bool{false, true} {
		l.attach(m, n)
		if restart {
			m.Close()
			m = l.open()
			l.ensure(m, l.vpc("default"))
		}
		check(t, m.Detach(ctx, n.ID))
		if after := l.links(m.vpcs["default"].space); !slices.Equal(after, before) {
			t.Errorf("links %v, before %v", after, before)
		}
	}
}

// A machine that runs on cannot keep two taps of a removed VPC in touch.
func TestRemovedVPCTakesItsTaps(t *testing.T) {
	for name, remove := range map[string]func(*lab, *Manager) error{
		"Reconcile": func(_ *lab, m *Manager) error { return m.Reconcile(ctx, State{}) },
		"Clean": func(l *lab, m *Manager) error {
			m.Close()
			return Clean(ctx, l.prefix, l.state)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			m := l.open()
			l.ensure(m, l.vpc("default"))
			a, b := l.attach(m, nicAt("default", 2).as(Tap)), l.attach(m, nicAt("default", 3).as(Tap))
			l.serve(b, ":80")
			l.reaches(a, "tcp", "10.77.0.3:80", "10.77.0.2")
			check(t, remove(l, m))
			l.never(a, "tcp", "10.77.0.3:80")
		})
	}
}

// links are the names of a namespace's links.
func (l *lab) links(s *space) (names []string) {
	l.t.Helper()
	links, err := s.route.LinkList()
	check(l.t, err)
	for _, k := range links {
		names = append(names, k.Attrs().Name)
	}
	return names
}
