package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/network"
	"cis/internal/store"
)

// SecurityGroups lists the account's security groups by name.
func (e *Engine) SecurityGroups(ctx context.Context) ([]api.SecurityGroup, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	return sorted(n.groups, account.Of(ctx).Account, groupTitle), nil
}

// SecurityGroup returns a security group by name or ID.
func (e *Engine) SecurityGroup(ctx context.Context, ref string) (api.SecurityGroup, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.group(account.Of(ctx).Account, ref)
}

// CreateSecurityGroup records a group. It must be valid and have its defaults.
func (e *Engine) CreateSecurityGroup(ctx context.Context, g api.SecurityGroup) (api.SecurityGroup, error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return g, err
	}
	defer unlock()
	if err := oneAccount(ctx); err != nil {
		return g, err
	}
	g.Account = account.Of(ctx).Account
	if err := e.networks.resolveGroups(&g); err != nil {
		return g, err
	}
	g.ID, g.CreatedAt, g.Revision = newShortID("sg-"), time.Now().UTC(), 1
	if err := e.put(ctx, store.KindSecurityGroup, g.ID, groupTitle(g), g); err != nil {
		return g, err
	}
	e.networks.keepGroup(g)
	return g, nil
}

func (n *networks) keepGroup(g api.SecurityGroup) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.groups[g.ID] = g
}

// resolveGroups turns the groups that rules refer to into names, and refuses missing ones.
func (n *networks) resolveGroups(g *api.SecurityGroup) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	resolve := func(field string, rules []api.Rule) ([]api.Rule, error) {
		rules = slices.Clone(rules)
		for i := range rules {
			ref := rules[i].SecurityGroup
			if ref == "" || ref == g.Name {
				continue
			}
			peer, err := n.group(g.Account, ref)
			if err != nil {
				return nil, inField(err, fmt.Sprintf("%s[%d].securityGroup", field, i))
			}
			rules[i].SecurityGroup = peer.Name
		}
		return rules, nil
	}
	var err1, err2 error
	g.Ingress, err1 = resolve("ingress", g.Ingress)
	g.Egress, err2 = resolve("egress", g.Egress)
	if err1 != nil {
		return err1
	}
	return err2
}

// UpdateSecurityGroup changes a group; it reaches running instances before this returns.
func (e *Engine) UpdateSecurityGroup(ctx context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return api.SecurityGroup{}, err
	}
	defer unlock()
	before, err := e.SecurityGroup(ctx, ref)
	if err == nil {
		err = outdated("security group", before.Name, before.Revision, u.Revision)
	}
	if err != nil {
		return before, err
	}
	g := before
	g.Revision++
	if u.Description != nil {
		g.Description = *u.Description
	}
	if u.Labels != nil {
		g.Labels = u.Labels
	}
	if u.Ingress != nil {
		g.Ingress = u.Ingress
	}
	if u.Egress != nil {
		g.Egress = u.Egress
	}
	if err := e.networks.resolveGroups(&g); err != nil {
		return before, err
	}
	return g, e.changeGroup(ctx, before, g)
}

// changeGroup records a group and changes it wherever it is in force; what fails is undone.
func (e *Engine) changeGroup(ctx context.Context, before, g api.SecurityGroup) error {
	if err := e.put(ctx, store.KindSecurityGroup, g.ID, groupTitle(g), g); err != nil {
		return err
	}
	e.networks.keepGroup(g)
	if err := e.enforce(ctx, g.ID); err != nil {
		ctx := context.WithoutCancel(ctx)
		e.networks.keepGroup(before)
		return errors.Join(err, e.put(ctx, store.KindSecurityGroup, g.ID, groupTitle(g), before), e.enforce(ctx, g.ID))
	}
	return nil
}

// RemoveSecurityGroup removes a group that neither instances nor other groups name.
func (e *Engine) RemoveSecurityGroup(ctx context.Context, ref string) error {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return e.removeGroup(ctx, ref, false)
}

// removeGroup is RemoveSecurityGroup while the networks are locked; whole: the default one, too.
func (e *Engine) removeGroup(ctx context.Context, ref string, whole bool) error {
	g, err := e.networks.dropGroup(account.Of(ctx).Account, ref, whole)
	if err != nil {
		return err
	}
	if err := e.cfg.Store.DeleteObject(ctx, store.KindSecurityGroup, g.ID); err != nil {
		e.networks.keepGroup(g)
		return err
	}
	return nil
}

// dropGroup takes a group out, unless somebody uses it.
func (n *networks) dropGroup(owner, ref string, whole bool) (api.SecurityGroup, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	g, err := n.group(owner, ref)
	if err != nil {
		return g, err
	}
	if g.Name == api.DefaultName && !whole {
		return g, isDefault("security group")
	}
	if err := n.inUse("security group", g.Name, func(m *member) bool { return m.uses(g.ID) }); err != nil {
		return g, err
	}
	for _, other := range sorted(n.groups, g.Account, groupTitle) {
		if other.ID != g.ID && refersTo(other, g.Name) {
			return g, api.Errorf(api.Conflict, "security group %s is used by a rule of security group %s", g.Name, other.Name).
				WithNext("remove the rule first: `cis secgroup rule list %s`", other.Name)
		}
	}
	delete(n.groups, g.ID)
	return g, nil
}

// uses says whether the member is in a group, or is about to leave it.
func (m *member) uses(group string) bool {
	return slices.Contains(m.groups, group) || slices.Contains(m.leaving, group)
}

func refersTo(g api.SecurityGroup, name string) bool {
	refers := func(r api.Rule) bool { return r.SecurityGroup == name }
	return slices.ContainsFunc(g.Ingress, refers) || slices.ContainsFunc(g.Egress, refers)
}

// inUse refuses with the names of the instances that use something; n.mu is held.
func (n *networks) inUse(kind, name string, uses func(*member) bool) error {
	var users []string
	for _, m := range n.members {
		if uses(m) {
			users = append(users, m.name)
		}
	}
	if len(users) == 0 {
		return nil
	}
	slices.Sort(users)
	shown := users
	if len(users) > 5 {
		shown = append(slices.Clone(users[:5]), fmt.Sprintf("%d more", len(users)-5))
	}
	return api.Errorf(api.Conflict, "%s %s is used by instances: %s", kind, name, strings.Join(shown, ", ")).
		WithNext("remove them first: `cis rm -f %s`", users[0])
}

// rulesOf turns rules into the network's; ids gives the IDs of groups by name.
func rulesOf(rules []api.Rule, ids map[string]string) (out []network.Rule) {
	protocols := map[api.Protocol]network.Protocol{api.ProtocolAny: network.ProtocolAny, api.ProtocolTCP: network.TCP,
		api.ProtocolUDP: network.UDP, api.ProtocolICMP: network.ICMP, api.ProtocolICMPv6: network.ICMPv6}
	for _, r := range rules {
		first, last, _ := r.PortRange()
		peer, _ := netip.ParsePrefix(r.CIDR)
		to := network.Rule{Protocol: protocols[r.Protocol], First: first, Last: last, ICMPType: -1, ICMPCode: -1, Peer: peer, Group: ids[r.SecurityGroup]}
		if r.ICMPType != nil {
			to.ICMPType = *r.ICMPType
		}
		out = append(out, to)
	}
	return out
}

// groupsIn are the groups that instances of a VPC use, the default one for what waits for
// instances, and those that their rules refer to, by ID. n.mu is held.
func (n *networks) groupsIn(vpc string) map[string]api.SecurityGroup {
	in := map[string]api.SecurityGroup{}
	var add func(id string)
	add = func(id string) {
		g, ok := n.groups[id]
		if _, done := in[id]; done || !ok {
			return
		}
		in[id] = g
		for _, r := range slices.Concat(g.Ingress, g.Egress) {
			if peer, ok := byRef(n.groups, g.Account, r.SecurityGroup, groupTitle); ok && r.SecurityGroup != "" {
				add(peer.ID)
			}
		}
	}
	if vpc == defaultVPC {
		add(defaultGroup)
	}
	for _, m := range n.members {
		if m.vpc == vpc {
			for _, id := range slices.Concat(m.groups, m.leaving) {
				add(id)
			}
		}
	}
	return in
}

// groupsOf are the groups of a VPC, by what its network goes by.
func (n *networks) groupsOf(id string) (out []network.Group) {
	n.mu.Lock()
	defer n.mu.Unlock()
	in := map[string]api.SecurityGroup{}
	for _, v := range n.vpcs {
		if networkID(v) == id {
			in = n.groupsIn(v.ID)
		}
	}
	ids := map[string]string{}
	for id, g := range in {
		ids[g.Name] = id
	}
	for _, id := range slices.Sorted(maps.Keys(in)) {
		g := in[id]
		out = append(out, network.Group{ID: id, Ingress: rulesOf(g.Ingress, ids), Egress: rulesOf(g.Egress, ids)})
	}
	return out
}

// inForce knows which groups each VPC's network has been given.
type inForce map[string]map[string]bool // by what the VPC's network goes by, then the group's ID

func (f inForce) note(vpc string, groups []network.Group) {
	f[vpc] = map[string]bool{}
	for _, g := range groups {
		f[vpc][g.ID] = true
	}
}

// enforce gives a group's rules to the networks that have the group.
func (e *Engine) enforce(ctx context.Context, group string) error {
	e.enforcing.Lock()
	defer e.enforcing.Unlock()
	var errs []error
	for vpc, groups := range e.inForce {
		if groups[group] {
			errs = append(errs, e.setGroups(ctx, vpc))
		}
	}
	return errors.Join(errs...)
}

// provide makes sure that a VPC's network has the groups that a NIC names.
func (e *Engine) provide(ctx context.Context, n network.NIC) error {
	e.enforcing.Lock()
	defer e.enforcing.Unlock()
	for _, id := range n.Groups {
		if !e.inForce[n.VPC][id] {
			return e.setGroups(ctx, n.VPC)
		}
	}
	return nil
}

// setGroups gives a VPC's network its groups; e.enforcing is held.
func (e *Engine) setGroups(ctx context.Context, vpc string) error {
	groups := e.networks.groupsOf(vpc)
	if err := e.cfg.Network.SetGroups(ctx, vpc, groups); err != nil {
		return fmt.Errorf("set the security groups of VPC %s: %w", vpc, err)
	}
	e.inForce.note(vpc, groups)
	return nil
}

// noteGroups remembers what a network was given.
func (e *Engine) noteGroups(vpc string, groups []network.Group) {
	e.enforcing.Lock()
	defer e.enforcing.Unlock()
	e.inForce.note(vpc, groups)
}

// groupsGone forgets the groups of a network that is gone.
func (e *Engine) groupsGone(vpc string) {
	e.enforcing.Lock()
	defer e.enforcing.Unlock()
	delete(e.inForce, vpc)
}
