package network

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func (s span) holds(n number) bool { return s.first.compare(n) <= 0 && n.compare(s.last) <= 0 }

func holders(boxes []box, point [4]number) (n int) {
	for _, b := range boxes {
		in := true
		for i := range b {
			in = in && b[i].holds(point[i])
		}
		if in {
			n++
		}
	}
	return n
}

// Every point is in exactly one of the disjoint boxes if it is in any of the boxes,
// and else in none.
func TestDisjointBoxesCoverTheSame(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		random := func() span {
			a, b := r.Uint64N(8), r.Uint64N(8)
			return between(min(a, b), max(a, b))
		}
		var boxes []box
		for range 1 + r.IntN(12) {
			boxes = append(boxes, box{random(), random(), random(), random()})
		}
		apart, err := disjoint(boxes)
		check(t, err)
		for p := range uint64(8 * 8 * 8 * 8) {
			point := [4]number{{low: p & 7}, {low: p >> 3 & 7}, {low: p >> 6 & 7}, {low: p >> 9}}
			got, want := holders(apart, point), min(1, holders(boxes, point))
			if got != want {
				t.Fatalf("seed %d: %v is in %d boxes, want %d", seed, point, got, want)
			}
		}
	}
}

func TestDisjointIsBounded(t *testing.T) {
	var boxes []box
	for i := range uint64(600) { // a lattice of bars, each across all others
		boxes = append(boxes, box{only(6), between(0, 1<<32-1), only(0), only(i * 2)}, box{only(6), only(i * 2), only(0), between(0, 65535)})
	}
	if _, err := disjoint(boxes); err == nil {
		t.Error("no error")
	}
}

func TestPrefixSpan(t *testing.T) {
	for p, want := range map[string][2]string{
		"0.0.0.0/0":   {"0.0.0.0", "255.255.255.255"},
		"10.0.0.0/8":  {"10.0.0.0", "10.255.255.255"},
		"10.0.0.1/32": {"10.0.0.1", "10.0.0.1"},
		"::/0":        {"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"fd00::/48":   {"fd00::", "fd00::ffff:ffff:ffff:ffff:ffff"},
		"fd00::/64":   {"fd00::", "fd00::ffff:ffff:ffff:ffff"},
		"fd00::/65":   {"fd00::", "fd00::7fff:ffff:ffff:ffff"},
		"fd00::1/128": {"fd00::1", "fd00::1"},
	} {
		got := prefixSpan(netip.MustParsePrefix(p))
		if got != (span{addrNumber(netip.MustParseAddr(want[0])), addrNumber(netip.MustParseAddr(want[1]))}) {
			t.Errorf("%s: %x", p, got)
		}
	}
	if n := (number{1, 0}).previous(); n != (number{0, ^uint64(0)}) || n.next() != (number{1, 0}) {
		t.Errorf("%x", n)
	}
}

// BenchmarkDisjoint is 1,000 rules, none inside another.
func BenchmarkDisjoint(b *testing.B) {
	var boxes []box
	for i := range uint64(1000) {
		boxes = append(boxes, box{only(6), only(i * 7919), between(0, 65535), only(i)})
	}
	for b.Loop() {
		disjoint(boxes)
	}
}
