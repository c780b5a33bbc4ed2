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

// iifLike and its kin match links by what their names begin with.
func iifLike(begin string) []expr.Any {
	return metaIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, []byte(begin))
}

func iifUnlike(begin string) []expr.Any {
	return metaIs(expr.MetaKeyIIFNAME, expr.CmpOpNeq, []byte(begin))
}

func oifLike(begin string) []expr.Any {
	return metaIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, []byte(begin))
}

func oifUnlike(begin string) []expr.Any {
	return metaIs(expr.MetaKeyOIFNAME, expr.CmpOpNeq, []byte(begin))
}

// family is what the two versions of IP differ in.
type family struct {
	suffix              string // of the names of sets
	number              byte
	address             nftables.SetDatatype
	source, destination uint32 // offsets in the header (RFC 791, RFC 8200)
}

var (
	ip4 = family{"", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 12, 16}
	ip6 = family{"6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 8, 24}
)

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ip4
	}
	return ip6
}

func (f family) matches() []expr.Any {
	return metaIs(expr.MetaKeyNFPROTO, expr.CmpOpEq, []byte{f.number})
}

// daddr and saddr match addresses in a prefix.
func daddr(p netip.Prefix) []expr.Any { return addrIn(p, familyOf(p.Addr()).destination) }
func saddr(p netip.Prefix) []expr.Any { return addrIn(p, familyOf(p.Addr()).source) }

func addrIn(p netip.Prefix, offset uint32) []expr.Any {
	return append(familyOf(p.Addr()).matches(), maskedAddr(offset, ipNet(p.Masked()).Mask, p.Masked().Addr())...)
}

func maskedAddr(offset uint32, mask []byte, want netip.Addr) []expr.Any {
	size := uint32(len(mask))
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		compare(expr.CmpOpEq, want.AsSlice()),
	}
}

func protocol(p Protocol) []expr.Any {
	return metaIs(expr.MetaKeyL4PROTO, expr.CmpOpEq, []byte{byte(p)})
}

// Offsets in the headers of UDP, TCP and SCTP, and in those of ICMP and ICMPv6.
const (
	offsetPort     = 2
	offsetICMPType = 0
)

// dport matches a destination port of an IP protocol that has ports.
func dport(p Protocol, port uint16) []expr.Any {
	return append(protocol(p),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offsetPort, Len: 2},
		compare(expr.CmpOpEq, binaryutil.BigEndian.PutUint16(port)),
	)
}

// icmp matches messages of a type.
func icmp(p Protocol, kind byte) []expr.Any {
	return append(protocol(p),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offsetICMPType, Len: 1},
		compare(expr.CmpOpEq, []byte{kind}),
	)
}

// registers are filled with the fields of a concatenation, one after the other.
type registers struct {
	next  uint32
	exprs []expr.Any
}

func concat() *registers { return &registers{next: unix.NFT_REG32_00} }

// scratch is beyond the longest concatenation, with room for an address.
const scratch = unix.NFT_REG32_12

func (r *registers) fill(e expr.Any, size uint32) *registers {
	r.exprs = append(r.exprs, e)
	r.next += (size + 3) / 4
	return r
}

func (r *registers) link() *registers {
	return r.fill(&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: r.next}, unix.IFNAMSIZ)
}

func (r *registers) protocol() *registers {
	return r.fill(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: r.next}, 1)
}

func (r *registers) addr(f family, offset uint32) *registers {
	return r.fill(&expr.Payload{DestRegister: r.next, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.address.Bytes}, f.address.Bytes)
}

func (r *registers) transport(offset uint32) *registers {
	return r.fill(&expr.Payload{DestRegister: r.next, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2}, 2)
}

// port and kind are the fields of a box besides the peer (see boxKey).
func (r *registers) port() *registers { return r.transport(offsetPort) }
func (r *registers) kind() *registers { return r.protocol().transport(0) }

func (r *registers) zero() *registers {
	return r.fill(&expr.Immediate{Register: r.next, Data: make([]byte, 4)}, 4)
}

// profile is that of the NIC which has an address of the packet.
func (r *registers) profile(f family, offset uint32) *registers {
	r.exprs = append(r.exprs, &expr.Payload{DestRegister: scratch, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.address.Bytes})
	return r.fill(&expr.Lookup{SourceRegister: scratch, DestRegister: r.next, IsDestRegSet: true, SetName: profilesSet(f).Name}, 4)
}

func (r *registers) in(set *nftables.Set) []expr.Any {
	return append(r.exprs, &expr.Lookup{SourceRegister: unix.NFT_REG32_00, SetName: set.Name})
}

// count notes the fields in a set, or that they were seen once more. A full set ends
// the rule there, so it must have nothing more to say.
func (r *registers) count(set *nftables.Set) []expr.Any {
	return append(r.exprs, &expr.Dynset{
		SrcRegKey: unix.NFT_REG32_00, SetName: set.Name, Operation: unix.NFT_DYNSET_OP_UPDATE,
		Timeout: set.Timeout, Exprs: []expr.Any{&expr.Counter{}},
	})
}

// replies matches packets of connections that were let through before, and errors
// about them.
func replies() []expr.Any {
	return ctState(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
}

// statusDNAT is IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h).
const statusDNAT = 1 << 5

// translated matches packets of connections that go elsewhere than their sender meant
// them to, notTranslated all others.
func translated() []expr.Any    { return ctBits(expr.CtKeySTATUS, statusDNAT, expr.CmpOpNeq) }
func notTranslated() []expr.Any { return ctBits(expr.CtKeySTATUS, statusDNAT, expr.CmpOpEq) }

func ctInvalid() []expr.Any { return ctState(expr.CtStateBitINVALID) }

func ctState(bits uint32) []expr.Any { return ctBits(expr.CtKeySTATE, bits, expr.CmpOpNeq) }

// ctBits matches if one of the bits is set (CmpOpNeq), or none is (CmpOpEq).
func ctBits(key expr.CtKey, bits uint32, op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		compare(op, make([]byte, 4)),
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

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

func done() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}} }

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
