package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/api"
)

// UpdateNIC gives an attached NIC its mutable parts anew, at once. Connections that stay
// allowed go on, others are cut.
func (m *Manager) UpdateNIC(ctx context.Context, n NIC) error {
	if err := m.updateNIC(ctx, n); err != nil {
		return fmt.Errorf("update NIC %s: %w", n.ID, err)
	}
	return nil
}

func (m *Manager) updateNIC(ctx context.Context, n NIC) error {
	m.life.RLock()
	defer m.life.RUnlock()
	unlock, err := m.busy.Lock(ctx, n.ID)
	if err != nil {
		return err
	}
	defer unlock()
	n = n.onThisKernel()
	have := m.known(n.ID)
	if have == nil {
		return api.Errorf(api.NotFound, "the NIC is not attached")
	}
	v, err := m.vpc(n.VPC)
	if err != nil {
		return err
	}
	outer, err := v.space.route.LinkByName(outerName(m.cfg.Prefix, n.ID))
	if err != nil {
		return fmt.Errorf("find its link: %w", err)
	}
	if _, err := m.claim(v, n); err != nil {
		return err
	}
	if err := m.configure(v, n, outer); err != nil {
		_, undo := m.claim(v, have.NIC)
		return errors.Join(err, undo, m.configure(v, have.NIC, outer))
	}
	return nil
}

// configure gives the NIC its mutable parts. What others may have comes first, so that a
// refusal changes nothing.
func (m *Manager) configure(v *vpc, n NIC, outer netlink.Link) error {
	if err := m.expose(v, n); err != nil {
		return err
	}
	if err := v.admit(n, outer.Attrs().Name); err != nil {
		return fmt.Errorf("admit NIC: %w", err)
	}
	return m.shape(v, n, outer)
}

// admit lets the NIC send as its addresses, by the rules of its groups.
func (v *vpc) admit(n NIC, link string) error {
	p := v.policy
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.anyStale(n) {
		if err := v.forgetStale(); err != nil {
			return err
		}
	}
	pr, fresh, err := p.profileOf(n.sortedGroups())
	if err != nil {
		return err
	}
	was := p.members[n.Address]
	moves := was != nil && was != pr
	if err := v.admitAs(n, link, pr, fresh, moves); err != nil {
		if fresh {
			delete(p.profiles, profileKey(pr.groups))
		}
		return err
	}
	p.put(n, pr)
	if !moves || v.isSilent(link) {
		return nil
	}
	return v.cut()
}

// isSilent says whether a NIC has never sent anything, as that of a sandbox that waits for
// its instance. Then it has answered nobody, and each packet to it is looked up as the first
// one was: there is nothing to cut, and no need to go through the connections of the host.
func (v *vpc) isSilent(link string) bool {
	outer, err := v.space.route.LinkByName(link)
	return err == nil && outer.Attrs().Statistics != nil && outer.Attrs().Statistics.RxPackets == 0
}

// admitAs puts into the kernel's sets what makes the NIC a member with the profile, which
// may be fresh, or another than it has.
func (v *vpc) admitAs(n NIC, link string, pr *profile, fresh, moves bool) error {
	mine := n.contents(link, pr)
	if moves && !fresh {
		return v.keep(mine...)
	}
	if !fresh {
		var edits []edit
		for _, c := range mine {
			edits = append(edits, edit{set: c.set, add: c.want})
		}
		err := v.rules.apply(v.table, edits...)
		if !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.EBUSY) {
			return err
		}
		// An address has another profile by now.
		return v.keep(mine...)
	}
	all, err := v.policy.contents()
	if err != nil {
		return err
	}
	return v.keep(append(all, mine...)...)
}

// contents are what the sets hold for the NIC, each scoped to what is its own.
func (n NIC) contents(link string, pr *profile) (cs []content) {
	for _, e := range n.profileElements(pr) {
		a, _ := netip.AddrFromSlice(e.key)
		f := familyOf(a)
		cs = append(cs,
			content{set: nicsSet(f), want: keyed(nicKey(link, a)), scope: ifKey(link)},
			content{set: profilesSet(f), want: []element{e}, scope: e.key})
	}
	return cs
}

func nicKey(link string, address netip.Addr) []byte { return append(ifKey(link), address.AsSlice()...) }

// bar takes back what admit gave.
func (v *vpc) bar(n NIC, link string) error {
	p := v.policy
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := v.rules.del(v.table, takings(link, n.addrs())...); err != nil {
		return err
	}
	p.take(n)
	return nil
}

func takings(link string, addrs []netip.Addr) (edits []edit) {
	for _, a := range addrs {
		f := familyOf(a)
		edits = append(edits,
			edit{set: nicsSet(f), del: keyed(nicKey(link, a))},
			edit{set: profilesSet(f), del: keyed(a.AsSlice())})
	}
	return edits
}

// barLeftover bars a link of which only its own account is known. An address that a
// NIC has by now keeps its profile.
func (v *vpc) barLeftover(link string, addrs []netip.Addr) error {
	p := v.policy
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range addrs {
		edits := takings(link, []netip.Addr{a})
		if p.members[a] != nil {
			edits = edits[:1]
		}
		if err := v.rules.del(v.table, edits...); err != nil {
			return err
		}
		p.stale[a] = true
	}
	return nil
}

func (p *policy) anyStale(n NIC) bool {
	for _, a := range n.addrs() {
		if p.stale[a] && p.members[a] == nil {
			return true
		}
	}
	return false
}

// onThisKernel is the NIC without IPv6 if the kernel has none.
func (n NIC) onThisKernel() NIC {
	if !hasIPv6() {
		n.Address6 = netip.Addr{}
	}
	return n
}
