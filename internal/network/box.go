package network

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"cis/api"
)

// number is an unsigned integer that holds an address of either family.
type number struct{ high, low uint64 }

func (n number) compare(o number) int {
	return cmp.Or(cmp.Compare(n.high, o.high), cmp.Compare(n.low, o.low))
}

func (n number) next() number {
	low, carry := bits.Add64(n.low, 1, 0)
	return number{n.high + carry, low}
}

func (n number) previous() number {
	low, borrow := bits.Sub64(n.low, 1, 0)
	return number{n.high - borrow, low}
}

func addrNumber(a netip.Addr) number {
	if a.Is4() {
		b := a.As4()
		return number{low: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// span is a range of numbers, both ends included.
type span struct{ first, last number }

func only(n uint64) span              { return span{number{low: n}, number{low: n}} }
func between(first, last uint64) span { return span{number{low: first}, number{low: last}} }

// prefixSpan holds the addresses of a prefix.
func prefixSpan(p netip.Prefix) span {
	first := addrNumber(p.Masked().Addr())
	last := first
	switch host := p.Addr().BitLen() - p.Bits(); {
	case host >= 64:
		last.low = ^uint64(0)
		last.high |= 1<<(host-64) - 1
	default:
		last.low |= 1<<host - 1
	}
	return span{first, last}
}

func (s span) meets(o span) bool {
	return s.first.compare(o.last) <= 0 && o.first.compare(s.last) <= 0
}

// width is the number of bits that tell the span's members apart.
func (s span) width() int {
	low, borrow := bits.Sub64(s.last.low, s.first.low, 0)
	high, _ := bits.Sub64(s.last.high, s.first.high, borrow)
	if high != 0 {
		return 64 + bits.Len64(high)
	}
	return bits.Len64(low)
}

// box is a range in each field that rules look at: the protocol, the peer, and the
// first two pairs of bytes of the transport header (see Rule.box).
type box [4]span

func (b box) meets(o box) bool {
	for i := range b {
		if !b[i].meets(o[i]) {
			return false
		}
	}
	return true
}

func (b box) width() (w int) {
	for _, s := range b {
		w += s.width()
	}
	return w
}

// without cuts a box that it meets out of b: what is left, in boxes that do not meet.
func (b box) without(o box) (rest []box) {
	for i := range b {
		if b[i].first.compare(o[i].first) < 0 {
			before := b
			before[i].last = o[i].first.previous()
			rest = append(rest, before)
			b[i].first = o[i].first
		}
		if b[i].last.compare(o[i].last) > 0 {
			after := b
			after[i].first = o[i].last.next()
			rest = append(rest, after)
			b[i].last = o[i].last
		}
	}
	return rest
}

// maxBoxes bounds the memory that the rules of one profile take in the kernel.
const maxBoxes = 1 << 15

// disjoint covers what the boxes cover with boxes that do not meet, as sets of ranges
// in the kernel want them.
func disjoint(boxes []box) ([]box, error) {
	// Wide ones first: those inside them vanish.
	boxes = slices.Clone(boxes)
	slices.SortStableFunc(boxes, func(a, b box) int { return cmp.Compare(b.width(), a.width()) })
	var covered []box
	for _, b := range boxes {
		parts := []box{b}
		for _, c := range covered {
			if !c.meets(b) {
				continue
			}
			var left []box
			for _, p := range parts {
				if p.meets(c) {
					left = append(left, p.without(c)...)
				} else {
					left = append(left, p)
				}
			}
			if parts = left; len(parts) == 0 {
				break
			}
		}
		if covered = append(covered, parts...); len(covered) > maxBoxes {
			return nil, api.Errorf(api.Exhausted, "the rules overlap in more than %d ways", maxBoxes).
				WithNext("use fewer rules, or such that hold one another or nothing in common")
		}
	}
	return covered, nil
}
