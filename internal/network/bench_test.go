package network

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

func benchNIC(i int) NIC {
	n := NIC{ID: fmt.Sprint("b", i), VPC: "default", Groups: []string{openGroup.ID},
		Address: netip.AddrFrom4([4]byte{10, 77, byte(1 + i/250), byte(1 + i%250)})}
	six := cidr6("default").Addr().As16()
	six[14], six[15] = byte(1+i/250), byte(1+i%250)
	n.Address6 = netip.AddrFrom16(six)
	return n
}

// manyRules is a group with 1,000 rules, none of which holds another.
func manyRules() Group {
	g := Group{ID: openGroup.ID, Egress: []Rule{{}}}
	for i := range 999 {
		g.Ingress = append(g.Ingress, Rule{
			Protocol: TCP, First: uint16(1000 + i), Last: uint16(1000 + i),
			Peer: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, byte(i / 250), byte(i % 250)}), 32),
		})
	}
	g.Ingress = append(g.Ingress, Rule{Protocol: TCP, First: 80, Last: 80})
	return g
}

// BenchmarkRules is what 1,000 rules cost: a NIC made and removed, a connection opened,
// a round trip, and a change of one rule.
func BenchmarkRules(b *testing.B) {
	for name, g := range map[string]Group{"1": {ID: openGroup.ID, Egress: []Rule{{}}, Ingress: []Rule{tcp(80, 80, "")}}, "1000": manyRules()} {
		b.Run(name, func(b *testing.B) {
			l := newLab(b)
			m := l.open()
			l.ensure(m, l.vpc("default"), g)
			x, y := l.attach(m, benchNIC(1)), l.attach(m, benchNIC(2))
			to := at(benchNIC(2).Address, 80)
			l.serve(y, ":80")
			c, _, err := connect(x, "tcp", to, patience)
			check(b, err)
			defer c.Close()
			buf := make([]byte, 1)
			var attach, detach, open, trip, change []time.Duration
			for i := 3; b.Loop(); i++ {
				n := benchNIC(i % 5000)
				attach = append(attach, timed(func() { _, err := m.Attach(ctx, n); check(b, err) }))
				detach = append(detach, timed(func() { check(b, m.Detach(ctx, n.ID)) }))
				open = append(open, timed(func() {
					c, _, err := connect(x, "tcp", to, patience)
					check(b, err)
					c.Close()
				}))
				c.SetDeadline(soon(10000))
				for range 50 {
					trip = append(trip, timed(func() { c.Write(buf); c.Read(buf) }))
				}
				if i%10 == 0 {
					g.Ingress[0].Last++
					change = append(change, timed(func() { check(b, m.SetGroups(ctx, "default", []Group{g})) }))
				}
			}
			report(b, "attach", attach)
			report(b, "detach", detach)
			report(b, "connect", open)
			report(b, "round-trip", trip)
			if len(change) > 0 {
				report(b, "change", change)
			}
		})
	}
}

// BenchmarkNIC is one NIC made and removed, alone.
func BenchmarkNIC(b *testing.B) {
	l := newLab(b)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	var attach, detach []time.Duration
	for i := 0; b.Loop(); i++ {
		n := benchNIC(i % 5000)
		attach = append(attach, timed(func() { _, err := m.Attach(ctx, n); check(b, err) }))
		detach = append(detach, timed(func() { check(b, m.Detach(ctx, n.ID)) }))
	}
	report(b, "attach", attach)
	report(b, "detach", detach)
}

// BenchmarkFull fills a VPC with 500 NICs and compares the last with the first.
func BenchmarkFull(b *testing.B) {
	const size = 500
	for b.Loop() {
		l := newLab(b)
		m := l.open()
		l.ensure(m, l.vpc("default"))
		var attach, detach []time.Duration
		for i := range size {
			attach = append(attach, timed(func() { _, err := m.Attach(ctx, benchNIC(i)); check(b, err) }))
		}
		again := timed(func() { check(b, m.EnsureVPC(ctx, l.vpc("default"))) })
		b.ReportMetric(ms(again), "ms-ensure-full")
		for i := range size {
			detach = append(detach, timed(func() { check(b, m.Detach(ctx, benchNIC(size-1-i).ID)) }))
		}
		report(b, "attach-first-100", attach[:100])
		report(b, "attach-last-100", attach[size-100:])
		report(b, "detach-full", detach[:100])
		report(b, "detach-empty", detach[size-100:])
	}
}

// BenchmarkVPC is one VPC made and removed.
func BenchmarkVPC(b *testing.B) {
	l := newLab(b)
	m := l.open()
	for b.Loop() {
		l.ensure(m, l.vpc("default"))
		check(b, m.RemoveVPC(ctx, "default"))
	}
}

// BenchmarkAtOnce asks for 50 NICs at once.
func BenchmarkAtOnce(b *testing.B) {
	l := newLab(b)
	m := l.open()
	l.ensure(m, l.vpc("default"))
	for b.Loop() {
		all := timed(func() { each(50, func(i int) { _, err := m.Attach(ctx, benchNIC(i)); check(b, err) }) })
		gone := timed(func() { each(50, func(i int) { check(b, m.Detach(ctx, benchNIC(i).ID)) }) })
		b.ReportMetric(ms(all), "ms-attach-50")
		b.ReportMetric(ms(gone), "ms-detach-50")
	}
}

// BenchmarkReconcile adopts a VPC of 500 NICs, as a restarted server does.
func BenchmarkReconcile(b *testing.B) {
	l := newLab(b)
	var nics []NIC
	for i := range 500 {
		nics = append(nics, benchNIC(i))
	}
	m := l.open()
	check(b, m.Reconcile(ctx, l.wants("default", nics...)))
	m.Close()
	for b.Loop() {
		m := l.open()
		check(b, m.Reconcile(ctx, l.wants("default", nics...)))
		m.Close()
	}
}

func each(n int, f func(int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func report(b *testing.B, what string, d []time.Duration) {
	slices.Sort(d)
	b.ReportMetric(ms(d[len(d)/2]), "ms-median-"+what)
	b.ReportMetric(ms(d[len(d)*99/100]), "ms-p99-"+what)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
