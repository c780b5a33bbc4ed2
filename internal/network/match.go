package network

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The pieces that rules are put together from, named as nft writes them.

// when joins pieces into a rule.
func when(why string, pieces ...[]expr.Any) rule {
	r := rule{why: why}
	for _, p := range pieces {
		r.exprs = append(r.exprs, p...)
	}
	return r
}

// ifKey is a link's name as sets and comparisons hold it.
func ifKey(name string) []byte {
	k := make([]byte, unix.IFNAMSIZ)
	copy(k, name)
	return k
}

func compare(op expr.CmpOp, data []byte) expr.Any {
	return &expr.Cmp{Op: op, Register: 1, Data: data}
}

func metaIs(key expr.MetaKey, op expr.CmpOp, data []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, compare(op, data)}
}

func iif(name string) []expr.Any    { return metaIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, ifKey(name)) }
func iifNot(name string) []expr.Any { return metaIs(expr.MetaKeyIIFNAME, expr.CmpOpNeq, ifKey(name)) }
func oif(name string) []expr.Any    { return metaIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, ifKey(name)) }
func oifNot(name string) []expr.Any { return metaIs(expr.MetaKeyOIFNAME, expr.CmpOpNeq, ifKey(name)) }

func iifIn(set *nftables.Set) []expr.Any { return linkIn(expr.MetaKeyIIFNAME, set, false) }
func oifIn(set *nftables.Set) []expr.Any { return linkIn(expr.MetaKeyOIFNAME, set, false) }
func oifNotIn(set *nftables.Set) []expr.Any {
	return linkIn(expr.MetaKeyOIFNAME, set, true)
}

func linkIn(key expr.MetaKey, set *nftables.Set, invert bool) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, Invert: invert},
	}
}

// Offsets in the IPv4 header and in the headers of UDP and TCP (RFC 791, 768, 9293).
const (
	offsetSource      = 12
	offsetDestination = 16
	offsetPort        = 2
)

func ipv4() []expr.Any {
	return metaIs(expr.MetaKeyNFPROTO, expr.CmpOpEq, []byte{unix.NFPROTO_IPV4})
}

// linkAndSourceIn matches if the set of ifname . ipv4_addr holds the packet's link
// and source.
func linkAndSourceIn(set *nftables.Set) []expr.Any {
	// The name fills registers 1 to 4 of 4 bytes each, which as one register of 16
	// bytes is number 1; the address follows in the fifth.
	return append(ipv4(),
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG_1},
		&expr.Payload{DestRegister: unix.NFT_REG32_00 + 4, Base: expr.PayloadBaseNetworkHeader, Offset: offsetSource, Len: 4},
		&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: set.Name},
	)
}

// daddr matches destinations in an IPv4 prefix.
func daddr(p netip.Prefix) []expr.Any {
	p = p.Masked()
	a := p.Addr().As4()
	mask := ^uint32(0) << (32 - p.Bits())
	return append(ipv4(),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offsetDestination, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.BigEndian.PutUint32(mask), Xor: make([]byte, 4)},
		compare(expr.CmpOpEq, a[:]),
	)
}

// dport matches a destination port of an IP protocol that has ports.
func dport(proto byte, port uint16) []expr.Any {
	return append(metaIs(expr.MetaKeyL4PROTO, expr.CmpOpEq, []byte{proto}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offsetPort, Len: 2},
		compare(expr.CmpOpEq, binaryutil.BigEndian.PutUint16(port)),
	)
}

// icmpEcho matches echo requests.
func icmpEcho() []expr.Any {
	const typeEcho = 8
	return append(metaIs(expr.MetaKeyL4PROTO, expr.CmpOpEq, []byte{unix.IPPROTO_ICMP}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		compare(expr.CmpOpEq, []byte{typeEcho}),
	)
}

// replies matches packets of connections that were let through before, and errors
// about them.
func replies() []expr.Any {
	return ctState(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
}

func ctInvalid() []expr.Any { return ctState(expr.CtStateBitINVALID) }

func ctState(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		compare(expr.CmpOpNeq, make([]byte, 4)),
	}
}

// noReversePath matches a source that is not routed back over the link it came from.
func noReversePath() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		compare(expr.CmpOpEq, make([]byte, 4)),
	}
}

// daddrNotUnicast matches destinations that are not another machine: local
// addresses, broadcast, multicast, unroutable ones.
func daddrNotUnicast() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		compare(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(unix.RTN_UNICAST)),
	}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

// drop counts what it drops, for whoever asks where the packets went.
func drop() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

// reject answers "administratively prohibited", so that a client fails at once.
func reject() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}

func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }
