package policy

import (
	"cmp"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// block is a block of addresses without its exceptions. One that cannot be read is an error
// for the whole, lest what it excludes be open.
func block(b *networkingv1.IPBlock) ([]netip.Prefix, error) {
	whole, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return nil, err
	}
	left := []netip.Prefix{whole.Masked()}
	for _, e := range b.Except {
		out, err := netip.ParsePrefix(e)
		if err != nil {
			return nil, err
		}
		var next []netip.Prefix
		for _, p := range left {
			next = append(next, without(p, out.Masked())...)
		}
		left = next
	}
	return left, nil
}

// without is what of a network another one leaves.
func without(p, out netip.Prefix) []netip.Prefix {
	switch {
	case !p.Overlaps(out):
		return []netip.Prefix{p}
	case out.Bits() <= p.Bits():
		return nil
	}
	low, high := halves(p)
	return append(without(low, out), without(high, out)...)
}

// halves of a network that is more than an address.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	other, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(p.Addr(), p.Bits()+1), netip.PrefixFrom(other, p.Bits()+1)
}

// merged are the fewest networks that hold the same addresses, in order.
func merged(all []netip.Prefix) (fewest []netip.Prefix) {
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	for _, p := range all {
		n := len(fewest)
		if n > 0 && fewest[n-1].Overlaps(p) {
			continue // in the one before, which is larger
		}
		for ; n > 0 && areHalves(fewest[n-1], p); n-- {
			p = netip.PrefixFrom(fewest[n-1].Addr(), p.Bits()-1)
		}
		fewest = append(fewest[:n], p)
	}
	return fewest
}

// areHalves says whether the two, in order, are a network.
func areHalves(a, b netip.Prefix) bool {
	if a.Bits() != b.Bits() || a.Bits() == 0 {
		return false
	}
	whole := netip.PrefixFrom(a.Addr(), a.Bits()-1)
	return whole.Masked() == whole && whole.Contains(b.Addr())
}
