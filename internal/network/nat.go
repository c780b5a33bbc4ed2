package network

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The rules that translate published ports and public addresses, on the host and in a
// VPC. Their number is constant: what grows are the maps.

var families = []family{ip4, ip6}

// portsSet maps protocol, address and port of the host to the VPC's end of an uplink and
// a port of it; anyPortsSet does so for every address of the host.
func portsSet(f family) *nftables.Set {
	return endpoints("ports", f, nftables.TypeInetProto, f.address, nftables.TypeInetService)
}

func anyPortsSet(f family) *nftables.Set {
	return endpoints("anyports", f, nftables.TypeInetProto, nftables.TypeInetService)
}

// linkPortsSet maps protocol and port of the VPC's end of its uplink to a NIC's address
// and port.
func linkPortsSet(f family) *nftables.Set {
	return endpoints("linkports", f, nftables.TypeInetProto, nftables.TypeInetService)
}

// guardedPortsSet is the same for ports at which the groups of the NIC decide who comes in.
func guardedPortsSet(f family) *nftables.Set {
	return endpoints("guardedports", f, nftables.TypeInetProto, nftables.TypeInetService)
}

// endpoints is a map to an address and a port.
func endpoints(name string, f family, fields ...nftables.SetDatatype) *nftables.Set {
	s := concatenation(name, f, fields...)
	s.IsMap, s.DataType = true, nftables.MustConcatSetType(f.address, nftables.TypeInetService)
	return s
}

// publicSet holds, on the host, the public addresses that it routes to VPCs.
func publicSet(f family) *nftables.Set {
	return &nftables.Set{Name: "public" + f.suffix, KeyType: f.address, KeyByteOrder: binaryutil.BigEndian}
}

// toPrivateSet maps, in a VPC, public addresses to those of the NICs that they stand
// for, and toPublicSet the other way.
func toPrivateSet(f family) *nftables.Set { return addresses("toprivate", f) }
func toPublicSet(f family) *nftables.Set  { return addresses("topublic", f) }

func addresses(name string, f family) *nftables.Set {
	return &nftables.Set{Name: name + f.suffix, KeyType: f.address, DataType: f.address, IsMap: true, KeyByteOrder: binaryutil.BigEndian}
}

// cidrsSet holds the host's ends of uplinks with the CIDRs of their VPCs. Of VPCs that
// are HostReachable it holds none: what has an address of theirs and comes from outside
// is a lie.
func cidrsSet() *nftables.Set { return ranges("cidrs", ip4, nftables.TypeIFName, nftables.TypeIPAddr) }

func hostNATSets() (sets []*nftables.Set) {
	for _, f := range families {
		sets = append(sets, portsSet(f), anyPortsSet(f), publicSet(f))
	}
	return append(sets, cidrsSet())
}

func vpcNATSets() (sets []*nftables.Set) {
	for _, f := range families {
		sets = append(sets, linkPortsSet(f), guardedPortsSet(f), toPrivateSet(f), toPublicSet(f))
	}
	return sets
}

// publishedPorts are the ways to match a published port, which leave what it leads to in
// the registers.
func publishedPorts(f family) (one, each []expr.Any) {
	one = append(f.matches(), concat().protocol().addr(f, f.destination).transport(offsetPort).lookup(portsSet(f))...)
	each = append(f.matches(), local()...)
	if f.number == unix.NFPROTO_IPV6 {
		// A reply to ::1 has no way from a link to the program: see loopbackProxy.
		each = append(each, notLoopback6()...)
	}
	return one, append(each, concat().protocol().transport(offsetPort).lookup(anyPortsSet(f))...)
}

// publishedAreOpen lets instances through the guard to published ports.
func publishedAreOpen() (rules []rule) {
	for _, f := range families {
		one, each := publishedPorts(f)
		// With a comparison, which always holds, nft can show the look-up.
		found := []expr.Any{compare(expr.CmpOpNeq, make([]byte, f.address.Bytes))}
		rules = append(rules,
			when("published port of one address", one, found, accept()),
			when("published port", each, found, accept()))
	}
	return rules
}

// toUplinks translate, on the host, published ports.
func toUplinks() (rules []rule) {
	for _, f := range families {
		one, each := publishedPorts(f)
		rules = append(rules,
			when("published port of one address", one, dnatPort(f)),
			when("published port", each, dnatPort(f)))
	}
	return rules
}

// intoVPCs let pass what the host forwards to published ports and public addresses.
func intoVPCs(uplinks string, links netip.Prefix) (rules []rule) {
	// vpcEnd6 of any VPC.
	mask := netip.MustParseAddr("fe00:0:0:ffff:ffff:ffff:ffff:ffff").AsSlice()
	end6 := maskedAddr(ip6.destination, mask, vpcEnd6(uniqueLocal))
	rules = []rule{
		when("published port", oifLike(uplinks), translated(), daddr(links), accept()),
		when("published port", oifLike(uplinks), translated(), ip6.matches(), end6, accept()),
	}
	for _, f := range families {
		rules = append(rules, when("public address", oifLike(uplinks), f.matches(), concat().addr(f, f.destination).in(publicSet(f)), accept()))
	}
	return rules
}

// asHost give clients that the VPC has no way back to the host's address on the uplink.
func asHost(uplinks string) []rule {
	client := concat().outLink().addr(ip4, ip4.source).in(cidrsSet())
	return []rule{
		when("loopback to published port", oifLike(uplinks), saddr(loopbackNet), masquerade()),
		when("VPC to published port", iifLike(uplinks), oifLike(uplinks), translated(), masquerade()),
		when("client with an address of the VPC", ip4.matches(), client, masquerade()),
	}
}

// asThemselves let public addresses out untranslated.
func asThemselves(uplinks string) (rules []rule) {
	for _, f := range families {
		rules = append(rules, when("public address", iifLike(uplinks), oifUnlike(uplinks), f.matches(),
			concat().addr(f, f.source).in(publicSet(f)), accept()))
	}
	return rules
}

// toNICs translate, in a VPC, link ports and public addresses.
func toNICs() (rules []rule) {
	for _, f := range families {
		linkPort := concat().protocol().transport(offsetPort).lookup(linkPortsSet(f))
		guarded := concat().protocol().transport(offsetPort).lookup(guardedPortsSet(f))
		public := concat().addr(f, f.destination).lookup(toPrivateSet(f))
		rules = append(rules,
			when("published port", iif(uplinkName), f.matches(), local(), linkPort, markPublished(), dnatPort(f)),
			when("guarded port", iif(uplinkName), f.matches(), local(), guarded, dnatPort(f)),
			when("public address", f.matches(), public, nat(f, expr.NATTypeDestNAT)))
	}
	return rules
}

// fromNICs translate the sources of what the NICs send to the outside, and of what one
// sends to itself: it would drop what seems to come from its own address.
func fromNICs(v VPC) (rules []rule) {
	routers := map[byte]netip.Addr{ip4.number: Gateway}
	if v.CIDR6.IsValid() {
		routers[ip6.number] = vpcEnd6(v.CIDR6)
	}
	for _, f := range families {
		if router, ok := routers[f.number]; ok {
			own := concat().outLink().addr(f, f.source).in(nicsSet(f))
			rules = append(rules, when("instance to itself", f.matches(), own, snatTo(f, router)))
		}
		public := concat().addr(f, f.source).lookup(toPublicSet(f))
		rules = append(rules, when("public address", oif(uplinkName), f.matches(), public, nat(f, expr.NATTypeSourceNAT)))
	}
	return append(rules, when("instance to outside", ip4.matches(), oif(uplinkName), masquerade()))
}

// loopbackNet holds the addresses that a host calls itself by.
var loopbackNet = netip.MustParsePrefix("127.0.0.0/8")

func notLoopback6() []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: ip6.destination, Len: 16},
		compare(expr.CmpOpNeq, netip.IPv6Loopback().AsSlice()),
	}
}

func (r *registers) outLink() *registers {
	return r.fill(&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: r.next}, unix.IFNAMSIZ)
}

// lookup matches if the map has the fields, and puts what they stand for in their place.
func (r *registers) lookup(set *nftables.Set) []expr.Any {
	return append(r.exprs, &expr.Lookup{
		SourceRegister: unix.NFT_REG32_00, DestRegister: unix.NFT_REG32_00, IsDestRegSet: true, SetName: set.Name,
	})
}

// nat translates to the address that a lookup found, dnatPort to address and port.
func nat(f family, kind expr.NATType) []expr.Any {
	return []expr.Any{&expr.NAT{Type: kind, Family: uint32(f.number), RegAddrMin: unix.NFT_REG32_00}}
}

func dnatPort(f family) []expr.Any {
	port := unix.NFT_REG32_00 + f.address.Bytes/4
	return []expr.Any{&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.number), RegAddrMin: unix.NFT_REG32_00, RegProtoMin: port}}
}

func snatTo(f family, a netip.Addr) []expr.Any {
	return append([]expr.Any{&expr.Immediate{Register: unix.NFT_REG32_00, Data: a.AsSlice()}}, nat(f, expr.NATTypeSourceNAT)...)
}

// local matches destinations that are the namespace's own.
func local() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		compare(expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
	}
}

// ctMarkPublished is on a VPC's connections that a published port let in.
const ctMarkPublished = 1 << 0

func markPublished() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: scratch, Data: binaryutil.NativeEndian.PutUint32(ctMarkPublished)},
		&expr.Ct{Key: expr.CtKeyMARK, Register: scratch, SourceRegister: true},
	}
}

func published() []expr.Any { return ctBits(expr.CtKeyMARK, ctMarkPublished, expr.CmpOpNeq) }

// Keys and values of the maps.

func portKey(p Protocol, host netip.Addr, port uint16) string {
	return padded([]byte{byte(p)}, host.AsSlice(), binary.BigEndian.AppendUint16(nil, port))
}

func addrKey(a netip.Addr) string { return string(a.AsSlice()) }

func endpointValue(a netip.Addr, port uint16) string {
	return padded(a.AsSlice(), binary.BigEndian.AppendUint16(nil, port))
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

// linkRange is a key of cidrsSet, both its ends.
func linkRange(link string, p netip.Prefix) string {
	n := ipNet(p.Masked())
	last := p.Masked().Addr().AsSlice()
	for i, m := range n.Mask {
		last[i] |= ^m
	}
	return padded(ifKey(link), n.IP, ifKey(link), last)
}

// padded puts the fields of a concatenation together, each a multiple of 4 bytes long.
func padded(fields ...[]byte) string {
	var k []byte
	for _, f := range fields {
		k = append(k, f...)
		for len(k)%4 != 0 {
			k = append(k, 0)
		}
	}
	return string(k)
}
