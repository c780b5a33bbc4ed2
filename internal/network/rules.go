package network

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
)

// Priorities besides the usual ones.
var (
	beforeConntrack = nftables.ChainPriorityRaw    // -300: sources are checked before anything remembers them
	beforeDNAT      = nftables.ChainPriorityMangle // -150: a port that the host forwards elsewhere is still the host's
)

// openedSet holds, for each uplink, the services of guarded addresses that its VPC may
// use.
func openedSet(f family) *nftables.Set {
	return ranges("opened-services", f, nftables.TypeIFName, f.address, nftables.TypeInetService, nftables.TypeInetProto, nftables.TypeInetService)
}

// ranges is a set of ranges in each of the fields.
func ranges(name string, f family, fields ...nftables.SetDatatype) *nftables.Set {
	s := concatenation(name, f, fields...)
	s.Interval = true
	return s
}

func concatenation(name string, f family, fields ...nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{
		Name: name + f.suffix, KeyType: nftables.MustConcatSetType(fields...), KeyByteOrder: binaryutil.NativeEndian, Concatenation: true,
	}
}

// linkLocal is where clouds keep metadata services, and where the gateway and the
// uplinks are.
var linkLocal = netip.MustParsePrefix("169.254.0.0/16")

// hostRules keep instances away from the host's own services and give them a way
// to the outside. What belongs to a known connection comes first, since each packet of it
// pays for the rules before. Its source needs no look there: one end of each connection of
// a VPC is an address that no other VPC has, that of its uplink or a public one.
func hostRules(table string, links netip.Prefix) ruleset {
	filter := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...rule) chain {
		return chain{name, nftables.ChainTypeFilter, hook, prio, nftables.ChainPolicyAccept, rules}
	}
	uplinks := uplinkNames(table)
	opened := func(f family) rule {
		service := concat().link().addr(f, f.destination).port().kind()
		return when("opened by the VPC's egress", f.matches(), service.in(openedSet(f)), accept())
	}
	nat := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...rule) chain {
		return chain{name, nftables.ChainTypeNAT, hook, prio, nftables.ChainPolicyAccept, rules}
	}
	return ruleset{
		table: table,
		sets:  append([]*nftables.Set{openedSet(ip4), openedSet(ip6)}, hostNATSets()...),
		chains: []chain{
			filter("guard", nftables.ChainHookPrerouting, beforeDNAT, slices.Concat(
				[]rule{
					when("replies", replies(), accept()),
					when("not from a VPC", iifUnlike(uplinks), accept()),
					when("spoofed source", noReversePath(), drop()),
					opened(ip4), opened(ip6),
				},
				publishedAreOpen(),
				[]rule{when("the host itself", daddrNotUnicast(), drop())},
			)...),
			nat("translate", nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, toUplinks()...),
			nat("translatelocal", nftables.ChainHookOutput, nftables.ChainPriorityNATDest, toUplinks()...),
			filter("input", nftables.ChainHookInput, nftables.ChainPriorityFilter,
				when("replies", replies(), accept()),
				when("not from a VPC", iifUnlike(uplinks), accept()),
				opened(ip4), opened(ip6),
				when("the host itself", drop()),
			),
			filter("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, slices.Concat(
				[]rule{when("replies", replies(), accept())},
				intoVPCs(uplinks, links),
				[]rule{
					when("VPC to VPC", iifLike(uplinks), oifLike(uplinks), drop()),
					when("VPC to outside", iifLike(uplinks), accept()),
					when("outside to VPC", oifLike(uplinks), drop()),
				},
			)...),
			nat("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, slices.Concat(
				asHost(uplinks),
				asThemselves(uplinks),
				[]rule{when("VPC to outside", iifLike(uplinks), oifUnlike(uplinks), masquerade())},
			)...),
		},
	}
}

// vpcRules are the rules inside a VPC's namespace. Everything that is not the uplink
// is a NIC, or loopback.
func vpcRules(table string, v VPC, links netip.Prefix) ruleset {
	guarded := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...rule) chain {
		return chain{name, nftables.ChainTypeFilter, hook, prio, nftables.ChainPolicyDrop, rules}
	}
	fromNIC, toNIC := iifNot(uplinkName), oifNot(uplinkName)
	gateway, services := daddr(netip.PrefixFrom(Gateway, 32)), daddr(netip.PrefixFrom(Services, 32))
	return ruleset{
		table: table,
		sets:  append(vpcSets(), vpcNATSets()...),
		chains: append([]chain{
			guarded("source", nftables.ChainHookPrerouting, beforeConntrack,
				when("uplink", iif(uplinkName), accept()),
				when("own source", ownSource(ip4), accept()),
				when("own source", ownSource(ip6), accept()),
				when("loopback", iif("lo"), accept()),
				when("spoofed source", drop()),
			),
			guarded("input", nftables.ChainHookInput, nftables.ChainPriorityFilter,
				when("loopback", iif("lo"), accept()),
				when("replies", replies(), accept()),
				when("DNS", fromNIC, gateway, dport(UDP, dnsPort), accept()),
				when("DNS over TCP", fromNIC, gateway, dport(TCP, dnsPort), accept()),
				when("ping of the gateway", fromNIC, gateway, icmp(ICMP, icmpEcho), accept()),
				when("ping of the gateway", fromNIC, daddr(netip.PrefixFrom(Gateway6, 128)), icmp(ICMPv6, icmp6Echo), accept()),
				when("services, translated for the host", fromHost(links), translated(), services, accept()),
				when("services", fromNIC, services, jump("egress")),
				when("services", fromNIC, services, jump("allowed")),
				when("services", fromNIC, services, accept()),
				when("who is the gateway", fromNIC, icmp(ICMPv6, icmp6Solicitation), accept()),
				when("who a NIC is", fromNIC, icmp(ICMPv6, icmp6Advertisement), accept()),
			),
			guarded("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter,
				when("replies", replies(), accept()),
				when("invalid", ctInvalid(), drop()),
				when("uplink to uplink", iif(uplinkName), oif(uplinkName), drop()),
				when("what NICs send", fromNIC, jump("egress")),
				when("what leaves the VPC", oif(uplinkName), jump("outside")),
				when("what NICs receive", toNIC, jump("ingress")),
				when("a new connection", jump("allowed")),
				when("a new connection", accept()),
			),
			{"translate", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, nftables.ChainPolicyAccept, toNICs()},
			{"postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept, fromNICs(v)},
		}, groupChains(v, links)...),
	}
}

// Types of ICMP (RFC 792) and ICMPv6 messages (RFC 4443, RFC 4861).
const (
	icmpEcho           = 8
	icmp6Echo          = 128
	icmp6Solicitation  = 135
	icmp6Advertisement = 136
)
