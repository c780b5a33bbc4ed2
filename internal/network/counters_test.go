package network

import (
	"net/netip"
	"testing"

	"cis/api"
)

func TestCounters(t *testing.T) { eachKind(t, testCounters) }

func testCounters(t *testing.T, kind NICKind) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("default")
	v.CIDR6 = netip.Prefix{} // of which the router's kernel would say which groups it is in
	l.ensure(m, v)
	n := nicAt("default", 2).as(kind)
	a := l.attach(m, n)
	pc := listen(t, l.outside, outsideAddr+":9")
	l.pings(a, Gateway.String()) // so that nobody needs ARP later
	rx0, tx0, err := m.Counters(ctx, n.ID)
	check(t, err)
	l.never(a, "udp", outsideAddr+":9") // it arrives, but nobody answers
	check(t, pc.Close())
	rx, tx, err := m.Counters(ctx, n.ID)
	check(t, err)
	if tx <= tx0 || rx != rx0 {
		t.Errorf("sent %d and received %d bytes, before %d and %d", tx, rx, tx0, rx0)
	}
	if _, _, err := m.Counters(ctx, "nobody"); api.CodeOf(err) != api.NotFound {
		t.Errorf("counters of nobody: %v", err)
	}
}
