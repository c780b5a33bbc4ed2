package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// State is all that shall exist on a host.
type State struct {
	VPCs   []VPC
	Groups map[string][]Group // security groups by VPC id
	NICs   []NIC
}

// Reconcile makes the host have these VPCs, groups and NICs and, under the Manager's prefix,
// no others. What is whole is adopted without touching its traffic; what is missing
// is made. A NIC whose link is lost is made from nothing: a sandbox that ran on it has
// no network until its next start. A tap that a machine holds is adopted like any. A failure with one of them does not keep it from
// the rest; the error joins all.
func (m *Manager) Reconcile(ctx context.Context, want State) error {
	m.life.Lock()
	defer m.life.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reconcile network: %w", err)
	}
	want = want.onThisKernel()
	errs := []error{m.reconcileHost(want)}
	for _, v := range want.VPCs {
		errs = append(errs, m.reconcileVPC(ctx, v.ID, want))
	}
	return errors.Join(append(errs, m.sweep())...)
}

// Mend does what Reconcile does in steps, one for each VPC, so that what is to change
// meanwhile does not wait for all. Each step asks for what shall exist, which must stay
// so until done is called, and brings the VPC that it names to it, or for "" the host.
func (m *Manager) Mend(ctx context.Context, ask func(ctx context.Context, vpcID string) (want State, done func(), err error)) error {
	step := func(id string, f func(State) error) error {
		want, done, err := ask(ctx, id)
		if err != nil {
			return fmt.Errorf("mend network: %w", err)
		}
		defer done()
		m.life.Lock()
		defer m.life.Unlock()
		return f(want.onThisKernel())
	}
	var ids []string
	errs := []error{step("", func(want State) error {
		for _, v := range want.VPCs {
			ids = append(ids, v.ID)
		}
		return m.reconcileHost(want)
	})}
	for _, id := range ids {
		errs = append(errs, step(id, func(want State) error { return m.reconcileVPC(ctx, id, want) }))
	}
	return errors.Join(append(errs, step("", func(State) error { return m.sweep() }))...)
}

// onThisKernel is the state without the IPv6 addresses of NICs if the kernel has none.
func (s State) onThisKernel() State {
	if hasIPv6() {
		return s
	}
	nics := make([]NIC, len(s.NICs))
	for i, n := range s.NICs {
		nics[i] = n.onThisKernel()
	}
	s.NICs = nics
	return s
}

// reconcileHost makes the host's part be there, and takes away what is of no VPC and no
// NIC that is wanted. Hold life for writing, as for reconcileVPC.
func (m *Manager) reconcileHost(want State) error {
	nics, known := make(map[string]NIC, len(want.NICs)), map[string]bool{}
	for _, v := range want.VPCs {
		known[v.ID] = true
	}
	errs := []error{m.ensureHost()}
	for _, n := range want.NICs {
		nics[n.ID] = n
		if !known[n.VPC] {
			errs = append(errs, fmt.Errorf("reconcile NIC %s: there is no VPC %s", n.ID, n.VPC))
		}
	}
	return errors.Join(append(errs, m.hideOthers(nics), m.removeOtherVPCs(want.VPCs), m.removeOtherNICs(nics))...)
}

// reconcileVPC makes a VPC that is wanted have the wanted NICs and no others.
func (m *Manager) reconcileVPC(ctx context.Context, id string, want State) error {
	i := slices.IndexFunc(want.VPCs, func(v VPC) bool { return v.ID == id })
	if i < 0 {
		return nil // not any more
	}
	errs := []error{m.ensureVPC(ctx, want.VPCs[i])}
	nics := map[string]NIC{}
	for _, n := range want.NICs {
		if n.VPC == id {
			nics[n.ID] = n
		}
	}
	if v := m.vpcs[id]; v != nil {
		if err := m.reconcileNICs(ctx, v, want.Groups[id], nics); err != nil {
			errs = append(errs, fmt.Errorf("reconcile VPC %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// removeOtherVPCs removes the VPCs that are not in the list, known or not.
func (m *Manager) removeOtherVPCs(vpcs []VPC) error {
	wanted, uplinks := map[string]bool{}, map[string]bool{}
	for _, v := range vpcs {
		wanted[v.ID] = true
		uplinks[string(ifKey(uplinkHostName(m.cfg.Prefix, v.ID)))] = true
	}
	found, err := listSpaces(vpcSpaceName(m.cfg.Prefix, ""))
	if err != nil {
		return err
	}
	links, err := dump(m.host.route.LinkList)
	if err != nil {
		return fmt.Errorf("list the host's links: %w", err)
	}
	for _, l := range links {
		if id, ok := strings.CutPrefix(l.Attrs().Alias, uplinkAlias("")); ok && ownsLink(m.cfg.Prefix, l, "u") {
			found = append(found, id)
		}
	}
	found = slices.AppendSeq(found, maps.Keys(m.vpcs))
	slices.Sort(found)
	var errs []error
	for _, id := range slices.Compact(found) {
		if wanted[id] {
			continue
		}
		m.log.Info("removing a VPC that nobody wants", "vpc", id)
		m.forgetIf(func(n NIC) bool { return n.VPC == id })
		errs = append(errs, m.removeVPC(id))
	}
	errs = append(errs, m.closeOthers(uplinks))
	return errors.Join(errs...)
}

// closeOthers takes back what the host opened for uplinks that are not in the list.
func (m *Manager) closeOthers(uplinks map[string]bool) error {
	var edits []edit
	for _, f := range []family{ip4, ip6} {
		have, err := m.rules.list(m.cfg.Prefix, openedSet(f))
		if err != nil {
			return err
		}
		del := slices.DeleteFunc(have, func(e element) bool { return uplinks[string(e.key[:unix.IFNAMSIZ])] })
		edits = append(edits, edit{set: openedSet(f), del: del})
	}
	return m.rules.apply(m.cfg.Prefix, edits...)
}

// removeOtherNICs forgets the NICs that are not in the list, and takes away the
// names of their namespaces, by which their links go too.
func (m *Manager) removeOtherNICs(wanted map[string]NIC) error {
	m.forgetIf(func(n NIC) bool { return !wanted[n.ID].same(n) })
	ids, err := listSpaces(nicSpaceName(m.cfg.Prefix, ""))
	errs := []error{err}
	for _, id := range ids {
		if n, ok := wanted[id]; !ok || n.Kind == Tap {
			m.log.Info("removing a NIC's namespace that nobody wants", "nic", id)
			errs = append(errs, removeSpace(nicSpaceName(m.cfg.Prefix, id)))
		}
	}
	return errors.Join(errs...)
}

func (m *Manager) forgetIf(f func(NIC) bool) {
	m.mu.Lock()
	var ids []string
	for id, n := range m.nics {
		if f(n.NIC) {
			ids = append(ids, id)
		}
	}
	m.mu.Unlock()
	for _, id := range ids {
		m.forget(id)
	}
}

// reconcileGroups makes the VPC's rules be those of the groups, and each wanted NIC a
// member, whatever the kernel has or the Manager knew: in one transaction.
func (v *vpc) reconcileGroups(groups []Group, wanted map[string]NIC) error {
	p := v.policy
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
	if _, err := p.setGroups(groups); err != nil {
		return err
	}
	var errs []error
	for id, n := range wanted {
		pr, _, err := p.profileOf(n.sortedGroups())
		if err != nil {
			errs = append(errs, fmt.Errorf("NIC %s: %w", id, err))
			pr, _, _ = p.profileOf(nil) // which lets nothing pass
		}
		p.put(n, pr)
	}
	contents, err := p.contents()
	if err == nil {
		err = v.keep(append(contents, p.memberContents()...)...)
	}
	if err == nil && p.uncut {
		err = v.cutAll()
	}
	return errors.Join(append(errs, err)...)
}

// reconcileNICs makes the VPC have the wanted NICs and no others.
func (m *Manager) reconcileNICs(ctx context.Context, v *vpc, groups []Group, wanted map[string]NIC) error {
	links, err := dump(v.space.route.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	have, err := m.listOuter(v, links)
	if err != nil {
		return err
	}
	errs := []error{v.reconcileGroups(groups, wanted)}
	byLink := map[string]NIC{}
	for _, n := range wanted {
		byLink[outerName(m.cfg.Prefix, n.ID)] = n
	}
	for name, o := range have {
		if _, ok := byLink[name]; !ok {
			errs = append(errs, m.discard(v, o.link))
		}
	}
	errs = append(errs, m.discardDetours(v, links, wanted))
	senders := map[string]content{ip4.suffix: {set: nicsSet(ip4)}, ip6.suffix: {set: nicsSet(ip6)}}
	for name, n := range byLink {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if err := m.reconcileNIC(v, n, have[name]); err != nil {
			errs = append(errs, fmt.Errorf("NIC %s: %w", n.ID, err))
			continue
		}
		for _, a := range n.addrs() {
			c := senders[familyOf(a).suffix]
			c.want = append(c.want, keyed(nicKey(name, a))...)
			senders[familyOf(a).suffix] = c
		}
		// A port that a program of the host took meanwhile is no reason to cut the NIC off.
		if err := m.expose(v, n); err != nil {
			errs = append(errs, fmt.Errorf("NIC %s: %w", n.ID, err))
		}
	}
	// A key that a crash or a hand left would let its link send as someone else.
	errs = append(errs, v.rules.keep(v.table, slices.Collect(maps.Values(senders))...))
	return errors.Join(errs...)
}

// outerEnd is the end of a NIC in its VPC's namespace, with what belongs to it.
type outerEnd struct {
	link   netlink.Link
	addrs  []netlink.Addr
	routes []netlink.Route
	neighs []netlink.Neigh
	limits Bandwidth
}

// listOuter tells, of the VPC's links, the outer ends, with what belongs to each: in a few
// dumps, whatever their number.
func (m *Manager) listOuter(v *vpc, links []netlink.Link) (map[string]*outerEnd, error) {
	h := v.space.route
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_V6) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := dump(func() ([]netlink.Route, error) { return h.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	neighs, err := v.space.neighbours()
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	limits, err := m.limits(v, links)
	if err != nil {
		return nil, fmt.Errorf("list bandwidth limits: %w", err)
	}
	byName, byIndex := map[string]*outerEnd{}, map[int]*outerEnd{}
	for _, l := range links {
		if ownsLink(m.cfg.Prefix, l, "n") {
			o := &outerEnd{link: l, limits: limits[l.Attrs().Index]}
			byName[l.Attrs().Name], byIndex[l.Attrs().Index] = o, o
		}
	}
	for _, a := range addrs {
		if o := byIndex[a.LinkIndex]; o != nil {
			o.addrs = append(o.addrs, a)
		}
	}
	for _, r := range routes {
		if o := byIndex[r.LinkIndex]; o != nil {
			o.routes = append(o.routes, r)
		}
	}
	for _, n := range neighs {
		if o := byIndex[n.LinkIndex]; o != nil {
			o.neighs = append(o.neighs, n)
		}
	}
	return byName, nil
}

// discard removes an outer end that no NIC wants. It goes with its namespace if that
// has just lost its name; otherwise something holds it.
func (m *Manager) discard(v *vpc, link netlink.Link) error {
	m.log.Info("removing a link that nobody wants", "link", link.Attrs().Name, "alias", link.Attrs().Alias)
	if err := deleteLink(v.space.route, link); err != nil {
		return fmt.Errorf("remove link %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// reconcileNIC adopts the NIC, of which o is what is there, or makes it.
func (m *Manager) reconcileNIC(v *vpc, n NIC, o *outerEnd) error {
	if err := checkID("id", n.ID); err != nil {
		return err
	}
	if o == nil || !n.madeAs(o.link) {
		m.log.Info("making a NIC that is missing", "nic", n.ID, "vpc", v.ID)
		return m.ensureNIC(v, n)
	}
	if !o.whole(n) || o.limits != n.Bandwidth.kept() {
		m.log.Info("repairing a NIC", "nic", n.ID, "vpc", v.ID)
		for _, r := range o.routes {
			if !o.isOwn(r, n) {
				if err := ignoring(unix.ESRCH, v.space.route.RouteDel(&r)); err != nil {
					return err
				}
			}
		}
		return m.ensureNIC(v, n)
	}
	if _, err := m.claim(v, n); err != nil {
		return err
	}
	if !m.reopenNIC(n) {
		m.log.Info("making a NIC whose namespace is lost", "nic", n.ID, "vpc", v.ID)
		return m.ensureNIC(v, n)
	}
	return nil
}

// whole says whether the outer end is up and has exactly its routes and neighbours.
func (o *outerEnd) whole(n NIC) bool {
	mac := nicMAC(n.Address)
	known := func(a netip.Addr) bool {
		routed := slices.ContainsFunc(o.routes, func(r netlink.Route) bool { return prefixOf(r.Dst) == netip.PrefixFrom(a, a.BitLen()) })
		return routed && slices.ContainsFunc(o.neighs, func(e netlink.Neigh) bool {
			return e.State == netlink.NUD_PERMANENT && e.IP.Equal(a.AsSlice()) && slices.Equal(e.HardwareAddr, mac)
		})
	}
	for _, a := range n.addrs() {
		if !known(a) {
			return false
		}
	}
	stray := func(r netlink.Route) bool { return !o.isOwn(r, n) }
	return o.link.Attrs().Flags&net.FlagUp != 0 && !slices.ContainsFunc(o.routes, stray) && (!n.Address6.IsValid() || o.hasGateway6())
}

// isOwn says whether a route over the link is the NIC's, or one that the kernel makes.
func (o *outerEnd) isOwn(r netlink.Route, n NIC) bool {
	dst := prefixOf(r.Dst)
	return slices.Contains(n.addrs(), dst.Addr()) && dst.IsSingleIP() || r.Protocol == unix.RTPROT_KERNEL
}

// hasGateway6 says whether the gateway's address is on the link.
func (o *outerEnd) hasGateway6() bool {
	return slices.ContainsFunc(o.addrs, func(a netlink.Addr) bool { return prefixOf(a.IPNet) == netip.PrefixFrom(Gateway6, 128) })
}
