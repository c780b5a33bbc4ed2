package network

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// The rules that look a new connection up in what a VPC's security groups and egress
// let pass. Their number is constant: what grows are the sets, whose elements the
// policy makes.

// nicsSet holds, for each NIC of a VPC, its link and an address it may send from.
func nicsSet(f family) *nftables.Set {
	return concatenation("nics", f, nftables.TypeIFName, f.address)
}

// profilesSet maps each address of a NIC to the number of its profile.
func profilesSet(f family) *nftables.Set {
	return &nftables.Set{
		Name: "profiles" + f.suffix, KeyType: f.address, DataType: nftables.TypeMark, IsMap: true, KeyByteOrder: binaryutil.BigEndian,
	}
}

// direction is that of traffic as a NIC sees it.
type direction string

const (
	ingress direction = "ingress"
	egress  direction = "egress"
)

// The kernel looks sets of ranges up field by field, and after each it walks all the
// elements that still match: 7 µs for 1,000 of them on the machine that the numbers in
// docs/architecture.md are from. So what tells rules apart best comes first, the peer and
// its port; then the profile; then what is mostly alike.

// peersSet holds, by profile, the addresses and services that its rules admit.
func peersSet(d direction, f family) *nftables.Set {
	return ranges(string(d)+"-peers", f, f.address, nftables.TypeInetService, nftables.TypeMark, nftables.TypeInetProto, nftables.TypeInetService)
}

// groupsSet is the same for peers that are NICs of a group: it holds their profiles.
func groupsSet(d direction) *nftables.Set {
	return ranges(string(d)+"-members", ip4, nftables.TypeMark, nftables.TypeInetService, nftables.TypeMark, nftables.TypeInetProto, nftables.TypeInetService)
}

// outsideSet holds what the VPC's egress allows, and exemptSet those of them that are
// for a single address, which they open even if it is guarded.
func outsideSet(f family) *nftables.Set { return servicesSet("outside-services", f) }
func exemptSet(f family) *nftables.Set  { return servicesSet("exempt-services", f) }

func servicesSet(name string, f family) *nftables.Set {
	return ranges(name, f, f.address, nftables.TypeInetService, nftables.TypeInetProto, nftables.TypeInetService)
}

// Flows are kept for an hour, so many of each kind.
const (
	flowTime = time.Hour
	maxFlows = 8192
)

// flowsSet holds the connections that were allowed, or refused, of late.
func flowsSet(allowed bool, f family) *nftables.Set {
	name := "refused"
	if allowed {
		name = "allowed"
	}
	s := concatenation(name, f, f.address, f.address, nftables.TypeInetProto, nftables.TypeInetService)
	s.Dynamic, s.HasTimeout, s.Timeout, s.Size = true, true, flowTime, maxFlows
	return s
}

func vpcSets() (sets []*nftables.Set) {
	for _, f := range []family{ip4, ip6} {
		sets = append(sets, nicsSet(f), profilesSet(f), peersSet(ingress, f), peersSet(egress, f), outsideSet(f), exemptSet(f),
			flowsSet(true, f), flowsSet(false, f))
	}
	return append(sets, groupsSet(ingress), groupsSet(egress))
}

// guardedAddrs are link-local, where clouds keep their metadata services and the
// gateway and the uplinks are, and the one metadata service that is elsewhere.
var guardedAddrs = []netip.Prefix{
	linkLocal, netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00:ec2::254/128"),
}

// groupChains are the chains that the forward chain jumps to. They return what may
// pass and end what may not.
func groupChains(v VPC, links netip.Prefix) []chain {
	in := []rule{when("published port", iif(uplinkName), published(), done())}
	in = append(append(in, hostIsPeer(v, links)...), lookUps(ingress)...)
	in = append(in, when("no rule", jump("refused")), when("no rule", drop()))
	out := append(lookUps(egress), when("no rule", jump("refused")), when("no rule", reject()))
	return []chain{
		{name: "allowed", rules: countFlows(true)},
		{name: "refused", rules: countFlows(false)},
		{name: "ingress", rules: in},
		{name: "egress", rules: out},
		{name: "outside", rules: outsideRules(v.Egress.Mode)},
	}
}

// lookUps return a packet that the groups of the NIC admit.
func lookUps(d direction) (rules []rule) {
	for _, f := range []family{ip4, ip6} {
		own, peer := f.destination, f.source
		if d == egress {
			own, peer = peer, own
		}
		byAddress := concat().addr(f, peer).port().profile(f, own).kind()
		byGroup := concat().profile(f, peer).port().profile(f, own).kind()
		rules = append(rules,
			when("by address", f.matches(), byAddress.in(peersSet(d, f)), done()),
			when("by group", f.matches(), byGroup.in(groupsSet(d)), done()),
		)
	}
	return rules
}

// hostIsPeer lets in what the host itself sends, by its ends of the uplink, or keeps it
// out: nothing else comes from there that has not been translated.
func hostIsPeer(v VPC, links netip.Prefix) (rules []rule) {
	if !v.HostReachable {
		return []rule{when("the host", iif(uplinkName), notTranslated(), drop())}
	}
	rules = append(rules, when("the host", fromHost(links), done()))
	if v.CIDR6.IsValid() {
		rules = append(rules, when("the host", iif(uplinkName), saddr(netip.PrefixFrom(hostEnd6(v.CIDR6), 128)), done()))
	}
	return rules
}

// fromHost matches what comes over the uplink from the host's end of it, by IPv4: the even
// address of a pair.
func fromHost(links netip.Prefix) []expr.Any {
	even := ipNet(links).Mask
	even[3] |= 1
	return slices.Concat(iif(uplinkName), ip4.matches(), maskedAddr(ip4.source, even, links.Addr()))
}

func outsideRules(mode EgressMode) (rules []rule) {
	if mode != EgressOff {
		for _, f := range []family{ip4, ip6} {
			rules = append(rules, when("opened", f.matches(), services(f).in(exemptSet(f)), done()))
		}
		for _, p := range guardedAddrs {
			rules = append(rules, when("guarded", daddr(p), jump("refused")), when("guarded", daddr(p), reject()))
		}
	}
	switch mode {
	case EgressOn:
		return rules
	case EgressRules:
		for _, f := range []family{ip4, ip6} {
			rules = append(rules, when("allowed", f.matches(), services(f).in(outsideSet(f)), done()))
		}
	}
	return append(rules, when("egress is "+mode.String(), jump("refused")), when("egress is "+mode.String(), reject()))
}

func services(f family) *registers { return concat().addr(f, f.destination).port().kind() }

// countFlows notes who wanted to talk to whom. Of protocols without ports all is one
// flow.
func countFlows(allowed bool) (rules []rule) {
	for _, f := range []family{ip4, ip6} {
		ends := func() *registers { return concat().addr(f, f.source).addr(f, f.destination).protocol() }
		set := flowsSet(allowed, f)
		for _, p := range []Protocol{TCP, UDP, SCTP} {
			rules = append(rules, when("flow", f.matches(), protocol(p), ends().transport(offsetPort).count(set), done()))
		}
		rules = append(rules, when("flow", f.matches(), ends().zero().count(set)))
	}
	return rules
}

// ownSource matches if the packet comes from a NIC that has its source address.
func ownSource(f family) []expr.Any {
	return append(f.matches(), concat().link().addr(f, f.source).in(nicsSet(f))...)
}
