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
	return NIC{ID: fmt.Sprint("b", i), VPC: "default", Groups: []string{openGroup.ID},
		Address: netip.AddrFrom4([4]byte{10, 77, byte(1 + i/250), byte(1 + i%250)})}
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
