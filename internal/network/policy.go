package network

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"cis/api"
)

// policy is what the security groups of a VPC let its NICs do. NICs with the same
// groups share a profile: the rules are in the kernel once for each profile, and a
// NIC costs no more than its addresses, however many rules there are.
type policy struct {
	mu sync.Mutex // held over the change of the kernel's sets too
	// groups is nil until they are told: then nothing in the kernel is touched.
	groups   map[string]Group
	profiles map[string]*profile // by the ids of the groups, sorted and joined
	members  map[netip.Addr]*profile
	// stale are addresses whose last NIC may have left connections behind.
	stale map[netip.Addr]bool
	// uncut says that connections may go on that the rules do not let through: since the
	// rules changed, not all were looked at.
	uncut bool
}

type profile struct {
	number   uint32
	groups   []string // sorted
	nics     int
	peers    map[direction][]box            // of rules for addresses; IPv4
	peers6   map[direction][]box            // and IPv6
	services map[direction]map[string][]box // of rules for a group, by its id
}

// maxIdle is how many profiles without a NIC are kept for the next NIC.
const maxIdle = 8

func newPolicy() *policy {
	return &policy{profiles: map[string]*profile{}, members: map[netip.Addr]*profile{}, stale: map[netip.Addr]bool{}, uncut: true}
}

// keep makes sets of the VPC hold what they shall, in one transaction. Hold policy.mu.
func (v *vpc) keep(contents ...content) error {
	edits, err := v.rules.diff(v.table, contents...)
	if err != nil || len(edits) == 0 {
		return err
	}
	v.policy.uncut = true
	return v.rules.apply(v.table, edits...)
}

// distrust has all connections looked at with the next Reconcile.
func (p *policy) distrust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uncut = true
}

// reset forgets the NICs and their profiles, but for the addresses that they leave.
func (p *policy) reset() {
	for a := range p.members {
		p.stale[a] = true
	}
	clear(p.members)
	p.profiles = map[string]*profile{}
}

// setGroups replaces the groups. Those that NICs are in must be among them.
func (p *policy) setGroups(groups []Group) (undo func(), err error) {
	next := make(map[string]Group, len(groups))
	for _, g := range groups {
		if err := g.check(); err != nil {
			return nil, err
		}
		if _, twice := next[g.ID]; twice {
			return nil, api.FieldError("groups", "group %s is there twice", g.ID)
		}
		next[g.ID] = g
	}
	for _, pr := range p.profiles {
		for _, id := range pr.groups {
			if _, ok := next[id]; !ok && pr.nics > 0 {
				return nil, api.Errorf(api.Conflict, "security group %s has NICs in it", id).WithNext("take the NICs out first")
			}
		}
	}
	made := map[string]*profile{}
	for key, pr := range p.profiles {
		if pr.nics == 0 {
			continue
		}
		fresh := &profile{number: pr.number, groups: pr.groups, nics: pr.nics}
		if err := fresh.compile(next); err != nil {
			return nil, err
		}
		made[key] = fresh
	}
	before, beforeMade := p.groups, p.profiles
	p.install(next, made)
	return func() { p.install(before, beforeMade) }, nil
}

func (p *policy) install(groups map[string]Group, profiles map[string]*profile) {
	p.groups, p.profiles = groups, profiles
	for a, pr := range p.members {
		p.members[a] = profiles[profileKey(pr.groups)]
	}
}

// sortedGroups are the NIC's groups in order, each once.
func (n NIC) sortedGroups() []string { return slices.Compact(slices.Sorted(slices.Values(n.Groups))) }

func profileKey(groups []string) string { return strings.Join(groups, " ") }

// profileOf finds or makes the profile for the groups. A fresh one is not in the
// kernel yet.
func (p *policy) profileOf(groups []string) (pr *profile, fresh bool, err error) {
	key := profileKey(groups)
	if pr := p.profiles[key]; pr != nil {
		return pr, false, nil
	}
	for _, id := range groups {
		if _, ok := p.groups[id]; !ok {
			return nil, false, api.FieldError("groups", "the VPC has no security group %s", id)
		}
	}
	p.dropIdle()
	pr = &profile{number: p.freeNumber(key), groups: groups}
	if err := pr.compile(p.groups); err != nil {
		return nil, false, err
	}
	p.profiles[key] = pr
	return pr, true, nil
}

// freeNumber derives a number from the key, so that a restarted server finds its
// numbers in the kernel.
func (p *policy) freeNumber(key string) uint32 {
	sum := sha256.Sum256([]byte(key))
	n := binary.BigEndian.Uint32(sum[:])
	for slices.ContainsFunc(slices.Collect(maps.Values(p.profiles)), func(pr *profile) bool { return pr.number == n }) {
		n++
	}
	return n
}

func (p *policy) dropIdle() {
	idle := func(_ string, pr *profile) bool { return pr.nics == 0 }
	n := 0
	for key, pr := range p.profiles {
		if idle(key, pr) {
			n++
		}
	}
	if n >= maxIdle {
		maps.DeleteFunc(p.profiles, idle)
	}
}

// put makes the NIC a member with its profile, in place of the one it has.
func (p *policy) put(n NIC, pr *profile) {
	if p.members[n.Address] == pr {
		return
	}
	if was := p.members[n.Address]; was != nil {
		was.nics--
	}
	for _, a := range n.addrs() {
		p.members[a] = pr
		delete(p.stale, a)
	}
	pr.nics++
}

func (p *policy) take(n NIC) {
	if pr := p.members[n.Address]; pr != nil {
		pr.nics--
	}
	for _, a := range n.addrs() {
		delete(p.members, a)
		p.stale[a] = true
	}
}

// addrs are the NIC's addresses, IPv4 first.
func (n NIC) addrs() []netip.Addr {
	if n.Address6.IsValid() {
		return []netip.Addr{n.Address, n.Address6}
	}
	return []netip.Addr{n.Address}
}

// box is what the rule admits of protocols and services, from any peer.
func (r Rule) box() box {
	b := box{only(uint64(r.Protocol)), {}, between(0, 0xffff), between(0, 0xffff)}
	switch {
	case r.Protocol == ProtocolAny:
		b[0] = between(0, 0xff)
	case r.Protocol.isICMP() && r.ICMPType >= 0 && r.ICMPCode >= 0:
		b[2] = only(uint64(r.ICMPType<<8 | r.ICMPCode))
	case r.Protocol.isICMP() && r.ICMPType >= 0:
		b[2] = between(uint64(r.ICMPType<<8), uint64(r.ICMPType<<8|0xff))
	case r.Last != 0:
		b[3] = between(uint64(r.First), uint64(r.Last))
	}
	return b
}

var everywhere = map[bool]netip.Prefix{
	true: netip.PrefixFrom(netip.IPv4Unspecified(), 0), false: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
}

// peerBoxes are what the rules that are for addresses admit in a family.
func peerBoxes(rules []Rule, v4 bool) ([]box, error) {
	var boxes []box
	for _, r := range rules {
		peer := r.Peer
		if !peer.IsValid() {
			peer = everywhere[v4]
		}
		if r.Group != "" || peer.Addr().Is4() != v4 {
			continue
		}
		b := r.box()
		b[1] = prefixSpan(peer)
		boxes = append(boxes, b)
	}
	return disjoint(boxes)
}

func (g Group) rules(d direction) []Rule {
	if d == ingress {
		return g.Ingress
	}
	return g.Egress
}

// compile makes boxes of the rules of the profile's groups.
func (pr *profile) compile(groups map[string]Group) (err error) {
	pr.peers, pr.peers6 = map[direction][]box{}, map[direction][]box{}
	pr.services = map[direction]map[string][]box{}
	for _, d := range []direction{ingress, egress} {
		var rules []Rule
		for _, id := range pr.groups {
			rules = append(rules, groups[id].rules(d)...)
		}
		if pr.peers[d], err = peerBoxes(rules, true); err != nil {
			return err
		}
		if pr.peers6[d], err = peerBoxes(rules, false); err != nil {
			return err
		}
		pr.services[d] = map[string][]box{}
		for _, r := range rules {
			if r.Group != "" {
				pr.services[d][r.Group] = append(pr.services[d][r.Group], r.box())
			}
		}
	}
	return nil
}

// towards is what the profile's rules for groups admit of a peer with a profile.
func (pr *profile) towards(d direction, peer *profile) ([]box, error) {
	var boxes []box
	for _, id := range peer.groups {
		for _, b := range pr.services[d][id] {
			b[1] = only(uint64(peer.number))
			boxes = append(boxes, b)
		}
	}
	return disjoint(boxes)
}

// contents are what the sets of rules shall hold.
func (p *policy) contents() ([]content, error) {
	var all []content
	for _, d := range []direction{ingress, egress} {
		v4, v6, byGroup := content{set: peersSet(d, ip4)}, content{set: peersSet(d, ip6)}, content{set: groupsSet(d)}
		for _, pr := range p.profiles {
			v4.want = append(v4.want, pr.elements(pr.peers[d], ip4)...)
			v6.want = append(v6.want, pr.elements(pr.peers6[d], ip6)...)
			for _, peer := range p.profiles {
				boxes, err := pr.towards(d, peer)
				if err != nil {
					return nil, err
				}
				byGroup.want = append(byGroup.want, pr.elements(boxes, ip4)...)
			}
		}
		all = append(all, v4, v6, byGroup)
	}
	return all, nil
}

// elements are the boxes as those of a set with the profile in it. A profile's number
// is as long as an IPv4 address.
func (pr *profile) elements(boxes []box, f family) []element {
	return boxElements(nil, binary.BigEndian.AppendUint32(nil, pr.number), boxes, f)
}

// boxElements are the boxes as elements of a set: after a scope that all begin with, and
// with their owner. Either may be empty.
func boxElements(scope, owner []byte, boxes []box, f family) []element {
	es := make([]element, len(boxes))
	for i, b := range boxes {
		es[i] = element{
			key: boxKey(scope, owner, f, b[0].first, b[1].first, b[2].first, b[3].first),
			end: boxKey(scope, owner, f, b[0].last, b[1].last, b[2].last, b[3].last),
		}
	}
	return es
}

// boxKey pads each field to a multiple of four bytes, as concatenations are. See peersSet
// for the order.
func boxKey(scope, owner []byte, f family, protocol, peer, head, port number) []byte {
	k := slices.Clone(scope)
	if f.address.Bytes == 4 {
		k = binary.BigEndian.AppendUint32(k, uint32(peer.low))
	} else {
		k = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(k, peer.high), peer.low)
	}
	k = append(binary.BigEndian.AppendUint16(k, uint16(port.low)), 0, 0)
	k = append(append(k, owner...), byte(protocol.low), 0, 0, 0)
	return append(binary.BigEndian.AppendUint16(k, uint16(head.low)), 0, 0)
}

// profileElements map the NIC's addresses to a profile.
func (n NIC) profileElements(pr *profile) (es []element) {
	for _, a := range n.addrs() {
		es = append(es, element{key: a.AsSlice(), data: binary.BigEndian.AppendUint32(nil, pr.number)})
	}
	return es
}

// memberContents are what the maps of profiles shall hold.
func (p *policy) memberContents() []content {
	v4, v6 := content{set: profilesSet(ip4)}, content{set: profilesSet(ip6)}
	for a, pr := range p.members {
		c := &v4
		if a.Is6() {
			c = &v6
		}
		c.want = append(c.want, element{key: a.AsSlice(), data: binary.BigEndian.AppendUint32(nil, pr.number)})
	}
	return []content{v4, v6}
}

func (pr *profile) in(group string) bool { return slices.Contains(pr.groups, group) }
