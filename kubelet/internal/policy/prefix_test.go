package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// randomPrefix lies in a small corner of the addresses, so that prefixes meet.
func randomPrefix(r *rand.Rand, v6 bool) netip.Prefix {
	a := randomAddr(r, v6)
	p, _ := a.Prefix(a.BitLen() - r.IntN(9))
	return p
}

func randomAddr(r *rand.Rand, v6 bool) netip.Addr {
	last := byte(r.IntN(256))
	if v6 {
		return netip.AddrFrom16([16]byte{0: 0xfd, 15: last})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, last})
}

// TestBlock: a block holds just the addresses that are in the whole and in no exception,
// each in one network, and merged holds the same in no more networks.
func TestBlock(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		v6 := r.IntN(2) == 0
		b := &networkingv1.IPBlock{CIDR: randomPrefix(r, v6).String()}
		for range r.IntN(5) {
			b.Except = append(b.Except, randomPrefix(r, v6).String())
		}
		got, err := block(b)
		if err != nil {
			t.Fatal(err)
		}
		fewest := merged(slices.Clone(got))
		if len(fewest) > len(got) {
			t.Fatalf("%+v: %v became %v", b, got, fewest)
		}
		for range 64 {
			a := randomAddr(r, v6)
			want := 0
			if netip.MustParsePrefix(b.CIDR).Contains(a) && !slices.ContainsFunc(b.Except, func(e string) bool { return netip.MustParsePrefix(e).Contains(a) }) {
				want = 1
			}
			if n, m := holders(got, a), holders(fewest, a); n != want || m != want {
				t.Fatalf("%+v: %s is in %d of %v and %d of %v, want %d", b, a, n, got, m, fewest, want)
			}
		}
	}
}

func holders(all []netip.Prefix, a netip.Addr) (n int) {
	for _, p := range all {
		if p.Contains(a) {
			n++
		}
	}
	return n
}

// TestMerged: the fewest networks, whatever overlaps.
func TestMerged(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var all []netip.Prefix
		for range r.IntN(20) {
			all = append(all, randomPrefix(r, r.IntN(2) == 0))
		}
		got := merged(slices.Clone(all))
		for i, p := range got {
			if i > 0 && (got[i-1].Overlaps(p) || areHalves(got[i-1], p)) {
				t.Fatalf("%v became %v", all, got)
			}
		}
		for range 64 {
			a := randomAddr(r, r.IntN(2) == 0)
			if n := holders(got, a); (n == 1) != (holders(all, a) > 0) {
				t.Fatalf("%v became %v: %s is in %d", all, got, a, n)
			}
		}
	}
}

func TestBlockLimits(t *testing.T) {
	for _, test := range []struct {
		cidr   string
		except []string
		want   int // networks, -1: an error
	}{
		{"0.0.0.0/0", nil, 1},
		{"0.0.0.0/0", []string{"10.1.2.3/32"}, 32},
		{"::/0", []string{"fd00::1/128"}, 128},
		{"10.0.0.0/8", []string{"10.0.0.0/8"}, 0},
		{"10.0.0.0/8", []string{"::/0"}, 1},
		{"10.0.0.7/8", []string{"10.255.0.0/9"}, 1},
		{"10.0.0.0", nil, -1},
		{"10.0.0.0/8", []string{"10.0.0.x/9"}, -1},
	} {
		got, err := block(&networkingv1.IPBlock{CIDR: test.cidr, Except: test.except})
		if n := len(got); err == nil && n != test.want || (err != nil) != (test.want < 0) {
			t.Errorf("%s without %v: %v, %v", test.cidr, test.except, got, err)
		}
	}
}
