package network

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// family is what rules need to know of IPv4 or IPv6.
type family struct {
	number      byte // as nftables has it
	suffix      string
	bytes       uint32 // of an address
	source      uint32 // offsets in the header (RFC 791, 8200)
	destination uint32
	address     nftables.SetDatatype
}

var (
	inet4 = family{unix.NFPROTO_IPV4, "", 4, offsetSource, offsetDestination, nftables.TypeIPAddr}
	inet6 = family{unix.NFPROTO_IPV6, "6", 16, 8, 24, nftables.TypeIP6Addr}
)

var families = []family{inet4, inet6}

func familyOf(a netip.Addr) family {
	if a.Is6() {
		return inet6
	}
	return inet4
}

// The sets and maps of network address translation, one of each for either family.
// On the host:
func (f family) portsMap() *nftables.Set {
	return f.natMap("ports", []nftables.SetDatatype{nftables.TypeInetProto, f.address, nftables.TypeInetService}, f.address, nftables.TypeInetService)
}

func (f family) anyPortsMap() *nftables.Set {
	return f.natMap("anyports", []nftables.SetDatatype{nftables.TypeInetProto, nftables.TypeInetService}, f.address, nftables.TypeInetService)
}

func (f family) publicSet() *nftables.Set {
	return &nftables.Set{Name: "public" + f.suffix, KeyType: f.address, KeyByteOrder: binaryutil.BigEndian}
}

// In a VPC:
func (f family) linkPortsMap() *nftables.Set {
	return f.natMap("linkports", []nftables.SetDatatype{nftables.TypeInetProto, nftables.TypeInetService}, f.address, nftables.TypeInetService)
}

func (f family) publicMap() *nftables.Set {
	return f.natMap("public", []nftables.SetDatatype{f.address}, f.address)
}

func (f family) privateMap() *nftables.Set {
	return f.natMap("private", []nftables.SetDatatype{f.address}, f.address)
}

func (f family) natMap(name string, key []nftables.SetDatatype, value ...nftables.SetDatatype) *nftables.Set {
	s := &nftables.Set{Name: name + f.suffix, IsMap: true, KeyType: key[0], DataType: value[0], KeyByteOrder: binaryutil.BigEndian}
	if len(key) > 1 {
		s.KeyType, s.Concatenation = nftables.MustConcatSetType(key...), true
	}
	if len(value) > 1 {
		s.DataType = nftables.MustConcatSetType(value...)
	}
	return s
}

// Keys and values of those maps. Each part of a concatenation fills registers of 4 bytes.

func concat(parts ...[]byte) string {
	var k []byte
	for _, p := range parts {
		k = append(k, p...)
		for len(k)%4 != 0 {
			k = append(k, 0)
		}
	}
	return string(k)
}

func portKey(p Protocol, a netip.Addr, port uint16) string {
	if !a.IsValid() {
		return concat([]byte{byte(p)}, binaryutil.BigEndian.PutUint16(port))
	}
	return concat([]byte{byte(p)}, a.AsSlice(), binaryutil.BigEndian.PutUint16(port))
}

func addrKey(a netip.Addr) string { return string(a.AsSlice()) }

func endpointValue(a netip.Addr, port uint16) string {
	return concat(a.AsSlice(), binaryutil.BigEndian.PutUint16(port))
}

// parseEndpoint is the inverse of endpointValue; the zero values for what is none.
func parseEndpoint(v string) (netip.Addr, uint16) {
	if len(v) < 4 {
		return netip.Addr{}, 0
	}
	at := len(v) - 4
	a, _ := netip.AddrFromSlice([]byte(v[:at]))
	return a, binary.BigEndian.Uint16([]byte(v[at:]))
}

// Register number i of 4 bytes.
func word(i uint32) uint32 { return unix.NFT_REG32_00 + i }

func (f family) words() uint32 { return f.bytes / 4 }

func (f family) is() []expr.Any {
	return metaIs(expr.MetaKeyNFPROTO, expr.CmpOpEq, []byte{f.number})
}

func (f family) load(register, offset uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.bytes}
}

func loadPort(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offsetPort, Len: 2}
}

// lookup matches if the map has the key that starts in the first register, and puts
// the value there.
func lookup(m *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: word(0), DestRegister: word(0), IsDestRegSet: true, SetName: m.Name}
}

// inPorts matches a destination in portsMap.
func (f family) inPorts() []expr.Any {
	return append(f.is(),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: word(0)},
		f.load(word(1), f.destination),
		loadPort(word(1+f.words())),
		lookup(f.portsMap()),
	)
}

// inPortMap matches a protocol and destination port in a map that is keyed by these.
func (f family) inPortMap(m *nftables.Set) []expr.Any {
	return append(f.is(),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: word(0)},
		loadPort(word(1)),
		lookup(m),
	)
}

// inAddressMap matches an address of the packet in a map that is keyed by addresses.
func (f family) inAddressMap(offset uint32, m *nftables.Set) []expr.Any {
	return append(f.is(), f.load(word(0), offset), lookup(m))
}

// inAddressSet matches an address of the packet in a set.
func (f family) inAddressSet(offset uint32, s *nftables.Set) []expr.Any {
	return append(f.is(), f.load(word(0), offset), &expr.Lookup{SourceRegister: word(0), SetName: s.Name})
}

// nat translates to the address that a lookup put into the first register.
func (f family) nat(kind expr.NATType) []expr.Any {
	return []expr.Any{&expr.NAT{Type: kind, Family: uint32(f.number), RegAddrMin: word(0)}}
}

// natPort translates to the address and port that a lookup put there.
func (f family) natPort() []expr.Any {
	return []expr.Any{&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.number), RegAddrMin: word(0), RegProtoMin: word(f.words())}}
}

// snatTo translates the source to one address.
func (f family) snatTo(a netip.Addr) []expr.Any {
	return append([]expr.Any{&expr.Immediate{Register: word(0), Data: a.AsSlice()}}, f.nat(expr.NATTypeSourceNAT)...)
}

// local matches destinations that are the host's own.
func local() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		compare(expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
	}
}

const (
	// ctStatusDNAT is IPS_DST_NAT of the kernel's nf_conntrack_common.h.
	ctStatusDNAT = 1 << 5
	// ctMarkPublished is on a VPC's connections that a published port let in.
	ctMarkPublished = 1 << 0
)

// translated matches connections whose destination was translated.
func translated() []expr.Any { return ctBits(expr.CtKeySTATUS, ctStatusDNAT, expr.CmpOpNeq) }

func notTranslated() []expr.Any { return ctBits(expr.CtKeySTATUS, ctStatusDNAT, expr.CmpOpEq) }

func published() []expr.Any { return ctBits(expr.CtKeyMARK, ctMarkPublished, expr.CmpOpNeq) }

func ctBits(key expr.CtKey, bits uint32, op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		compare(op, make([]byte, 4)),
	}
}

// markPublished leaves the first registers alone, for what a lookup put there.
func markPublished() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: word(12), Data: binaryutil.NativeEndian.PutUint32(ctMarkPublished)},
		&expr.Ct{Key: expr.CtKeyMARK, Register: word(12), SourceRegister: true},
	}
}

// saddr matches sources in an IPv4 prefix.
func saddr(p netip.Prefix) []expr.Any { return inet4.within(inet4.source, p) }

func (f family) within(offset uint32, p netip.Prefix) []expr.Any {
	mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
	return append(f.is(),
		f.load(word(0), offset),
		&expr.Bitwise{SourceRegister: word(0), DestRegister: word(0), Len: f.bytes, Mask: mask, Xor: make([]byte, f.bytes)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: word(0), Data: p.Masked().Addr().AsSlice()},
	)
}

// leavesBy matches if the set of ifname . address holds the link that the packet leaves
// by and its source.
func (f family) leavesBy(set *nftables.Set) []expr.Any {
	return append(f.is(),
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: word(0)},
		f.load(word(unix.IFNAMSIZ/4), f.source),
		&expr.Lookup{SourceRegister: word(0), SetName: set.Name},
	)
}

// linkRange is the key in a set of intervals of ifname . address.
func linkRange(link string, p netip.Prefix) string {
	first, last := p.Masked().Addr().AsSlice(), p.Masked().Addr().AsSlice()
	for i, m := range net.CIDRMask(p.Bits(), p.Addr().BitLen()) {
		last[i] |= ^m
	}
	return concat(ifKey(link), first, ifKey(link), last)
}
