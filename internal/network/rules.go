package network

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
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

// linkLocal is where clouds keep metadata services, and where the gateway and the
// uplinks are.
var linkLocal = netip.MustParsePrefix("169.254.0.0/16")

// hostRules keep instances away from the host's own services and give them a way
// to the outside.
func hostRules(table string) ruleset {
	filter := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, rules ...rule) chain {
		return chain{name, nftables.ChainTypeFilter, hook, prio, nftables.ChainPolicyAccept, rules}
	}
	uplinks := uplinksSet
	return ruleset{
		table: table,
		sets:  []*nftables.Set{uplinks},
		chains: []chain{
			filter("guard", nftables.ChainHookPrerouting, beforeDNAT,
				when("spoofed source", iifIn(uplinks), noReversePath(), drop()),
				when("replies to the host", iifIn(uplinks), replies(), accept()),
				when("the host itself", iifIn(uplinks), daddrNotUnicast(), drop()),
			),
			filter("input", nftables.ChainHookInput, nftables.ChainPriorityFilter,
				when("replies to the host", iifIn(uplinks), replies(), accept()),
				when("the host itself", iifIn(uplinks), drop()),
			),
			filter("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter,
				when("VPC to VPC", iifIn(uplinks), oifIn(uplinks), drop()),
				when("VPC to outside", iifIn(uplinks), accept()),
				when("replies to VPC", oifIn(uplinks), replies(), accept()),
				when("outside to VPC", oifIn(uplinks), drop()),
			),
			{"postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept, []rule{
				when("VPC to outside", iifIn(uplinks), oifNotIn(uplinks), masquerade()),
			}},
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
	}
	if hostReachable {
		forward = append(forward, when("host to instance", iif(uplinkName), toNIC, accept()))
	}
	return ruleset{
		table: table,
		sets:  []*nftables.Set{nicsSet},
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
			{"postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainPolicyAccept, []rule{
				when("instance to outside", oif(uplinkName), masquerade()),
			}},
		},
	}
}
