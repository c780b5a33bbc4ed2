package network

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Priorities besides the usual ones.
var (
	beforeConntrack = nftables.ChainPriorityRaw    // -300: sources are checked before anything remembers them
	beforeDNAT      = nftables.ChainPriorityMangle // -150: a port that the host forwards elsewhere is still the host's
)

// uplinksSet holds the host's ends of all uplinks.
var uplinksSet = &nftables.Set{Name: "uplinks", KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}

// nicsSet holds, for each NIC of a VPC, its link and the address it may send from.
var nicsSet = &nftables.Set{
	Name:          "nics",
	KeyType:       nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr),
	KeyByteOrder:  binaryutil.NativeEndian,
	Concatenation: true,
}

func nicKey(link string, address netip.Addr) []byte {
	a := address.As4()
	return append(ifKey(link), a[:]...)
}

// cidrsSet holds, for each VPC, the host's end of its uplink and its CIDR.
var cidrsSet = &nftables.Set{
	Name:          "cidrs",
	KeyType:       nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr),
	KeyByteOrder:  binaryutil.NativeEndian,
	Concatenation: true,
	Interval:      true,
}

// loopbackNet holds the addresses that a host calls itself by.
var loopbackNet = netip.MustParsePrefix("127.0.0.0/8")

// linkLocal is where clouds keep metadata services, and where the gateway and the
// uplinks are.
var linkLocal = netip.MustParsePrefix("169.254.0.0/16")

// hostRules keep instances away from the host's own services and give them a way
// to the outside.
func hostRules(table string, links netip.Prefix) ruleset {
	var guard, dnat, forward, postrouting []rule
	sets := []*nftables.Set{uplinksSet, cidrsSet}
	for _, f := range families {
		sets = append(sets, f.portsMap(), f.anyPortsMap(), f.publicSet())
		guard = append(guard,
			when("published port of one address", iifIn(uplinksSet), f.inPorts(), accept()),
			when("published port", iifIn(uplinksSet), local(), f.inPortMap(f.anyPortsMap()), accept()),
		)
		dnat = append(dnat,
			when("published port of one address", f.inPorts(), f.natPort()),
			when("published port", local(), f.inPortMap(f.anyPortsMap()), f.natPort()),
		)
		forward = append(forward,
			when("public address", oifIn(uplinksSet), f.inAddressSet(f.destination, f.publicSet()), accept()),
		)
		postrouting = append(postrouting,
			when("public address", iifIn(uplinksSet), oifNotIn(uplinksSet), f.inAddressSet(f.source, f.publicSet()), accept()),
		)
	}
	filter := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...rule) chain {
		return chain{name, nftables.ChainTypeFilter, hook, prio, nftables.ChainPolicyAccept, rules}
	}
	uplinks := uplinksSet
	nat := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...rule) chain {
		return chain{name, nftables.ChainTypeNAT, hook, prio, nftables.ChainPolicyAccept, rules}
	}
	return ruleset{
		table: table,
		sets:  sets,
		chains: []chain{
			filter("guard", nftables.ChainHookPrerouting, beforeDNAT, slices.Concat(
				[]rule{
					when("spoofed source", iifIn(uplinks), noReversePath(), drop()),
					when("replies to the host", iifIn(uplinks), replies(), accept()),
				},
				guard,
				[]rule{when("the host itself", iifIn(uplinks), daddrNotUnicast(), drop())},
			)...),
			nat("translate", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, dnat...),
			nat("translatelocal", nftables.ChainHookOutput, nftables.ChainPriorityNATDest, dnat...),
			filter("input", nftables.ChainHookInput, nftables.ChainPriorityFilter,
				when("replies to the host", iifIn(uplinks), replies(), accept()),
				when("the host itself", iifIn(uplinks), drop()),
			),
			filter("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, slices.Concat(
				[]rule{
					when("replies to VPC", oifIn(uplinks), replies(), accept()),
					when("published port", oifIn(uplinks), translated(), daddr(links), accept()),
				},
				forward,
				[]rule{
					when("VPC to VPC", iifIn(uplinks), oifIn(uplinks), drop()),
					when("VPC to outside", iifIn(uplinks), accept()),
					when("outside to VPC", oifIn(uplinks), drop()),
				},
			)...),
			nat("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, slices.Concat(
				[]rule{
					when("loopback to published port", oifIn(uplinks), saddr(loopbackNet), masquerade()),
					when("VPC to published port", iifIn(uplinks), oifIn(uplinks), translated(), masquerade()),
					when("client with an address of the VPC", inet4.leavesBy(cidrsSet), masquerade()),
				},
				postrouting,
				[]rule{when("VPC to outside", iifIn(uplinks), oifNotIn(uplinks), masquerade())},
			)...),
		},
	}
}

// vpcRules are the rules inside a VPC's namespace. Everything that is not the uplink
// is a NIC, or loopback.
func vpcRules(table string, hostReachable bool) ruleset {
	guarded := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...rule) chain {
		return chain{name, nftables.ChainTypeFilter, hook, prio, nftables.ChainPolicyDrop, rules}
	}
	fromNIC, toNIC := iifNot(uplinkName), oifNot(uplinkName)
	gateway := daddr(netip.PrefixFrom(Gateway, 32))
	forward := []rule{
		when("replies", replies(), accept()),
		when("invalid", ctInvalid(), drop()),
		when("instance to instance", fromNIC, toNIC, accept()),
		when("link-local", fromNIC, daddr(linkLocal), reject()),
		when("instance to outside", fromNIC, oif(uplinkName), accept()),
		when("published port", iif(uplinkName), toNIC, published(), accept()),
		when("public address", iif(uplinkName), toNIC, translated(), accept()),
	}
	if hostReachable {
		forward = append(forward, when("host to instance", iif(uplinkName), toNIC, notTranslated(), accept()))
	}
	sets := []*nftables.Set{nicsSet}
	var dnat, snat []rule
	for _, f := range families {
		sets = append(sets, f.linkPortsMap(), f.publicMap(), f.privateMap())
		dnat = append(dnat,
			when("published port", iif(uplinkName), local(), f.inPortMap(f.linkPortsMap()), markPublished(), f.natPort()),
			when("public address", f.inAddressMap(f.destination, f.publicMap()), f.nat(expr.NATTypeDestNAT)),
		)
		snat = append(snat,
			when("public address", oif(uplinkName), f.inAddressMap(f.source, f.privateMap()), f.nat(expr.NATTypeSourceNAT)),
		)
	}
	return ruleset{
		table: table,
		sets:  sets,
		chains: []chain{
			guarded("source", nftables.ChainHookPrerouting, beforeConntrack,
				when("own source", linkAndSourceIn(nicsSet), accept()),
				when("uplink", iif(uplinkName), accept()),
				when("loopback", iif("lo"), accept()),
				when("spoofed source", drop()),
			),
			guarded("input", nftables.ChainHookInput, nftables.ChainPriorityFilter,
				when("loopback", iif("lo"), accept()),
				when("replies", replies(), accept()),
				when("DNS", fromNIC, gateway, dport(unix.IPPROTO_UDP, dnsPort), accept()),
				when("DNS over TCP", fromNIC, gateway, dport(unix.IPPROTO_TCP, dnsPort), accept()),
				when("ping of the gateway", fromNIC, gateway, icmpEcho(), accept()),
			),
			guarded("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, forward...),
			{"translate", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, nftables.ChainPolicyAccept, dnat},
			{"postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept, slices.Concat(
				[]rule{when("instance to itself", inet4.leavesBy(nicsSet), inet4.snatTo(Gateway))},
				snat,
				[]rule{when("instance to outside", oif(uplinkName), masquerade())},
			)},
		},
	}
}
