package engine

import (
	"context"
	"errors"
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

// VPCs lists the account's VPCs by name.
func (e *Engine) VPCs(ctx context.Context) ([]api.VPC, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	return sorted(n.vpcs, account.Of(ctx).Account, vpcTitle), nil
}

// VPC returns a VPC by name or ID.
func (e *Engine) VPC(ctx context.Context, ref string) (api.VPC, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.vpc(account.Of(ctx).Account, ref)
}

// CreateVPC records a VPC and makes its network. It must be valid and have its defaults.
func (e *Engine) CreateVPC(ctx context.Context, v api.VPC) (api.VPC, error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return v, err
	}
	defer unlock()
	if err := oneAccount(ctx); err != nil {
		return v, err
	}
	v.ID, v.Account, v.CIDR6, v.CreatedAt, v.Revision = newShortID("vpc-"), account.Of(ctx).Account, newCIDR6(), time.Now().UTC(), 1
	if err := e.networks.checkRouterPorts(v, nil); err != nil {
		return v, err
	}
	return v, e.makeVPC(ctx, v)
}

// makeVPC records a VPC and makes its network; the networks are locked.
func (e *Engine) makeVPC(ctx context.Context, v api.VPC) error {
	if err := e.put(ctx, store.KindVPC, v.ID, vpcTitle(v), v); err != nil {
		return err
	}
	if err := e.cfg.Network.EnsureVPC(ctx, e.networkOf(v)); err != nil {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(err, e.cfg.Network.RemoveVPC(ctx, networkID(v)), e.cfg.Store.DeleteObject(ctx, store.KindVPC, v.ID))
	}
	e.networks.keepVPC(v)
	return nil
}

func (n *networks) keepVPC(v api.VPC) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.vpcs[v.ID] = v
}

// UpdateVPC changes what can change of a VPC, live.
func (e *Engine) UpdateVPC(ctx context.Context, ref string, u api.VPCUpdate) (api.VPC, error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return api.VPC{}, err
	}
	defer unlock()
	before, err := e.VPC(ctx, ref)
	if err == nil {
		err = outdated("VPC", before.Name, before.Revision, u.Revision)
	}
	if err != nil {
		return before, err
	}
	v := before
	v.Revision++
	if u.Labels != nil {
		v.Labels = u.Labels
	}
	if u.HostReachable != nil {
		v.HostReachable = *u.HostReachable
	}
	if u.Egress != nil {
		v.Egress = *u.Egress
	}
	if u.Ports != nil {
		v.Ports = u.Ports
	}
	if u.Routes != nil {
		v.Routes = u.Routes
	}
	if err := e.networks.checkRouterPorts(v, before.Ports); err != nil {
		return before, err
	}
	return v, e.changeVPC(ctx, before, v)
}

// changeVPC records a VPC and changes its network; what fails is undone.
func (e *Engine) changeVPC(ctx context.Context, before, v api.VPC) error {
	if err := e.put(ctx, store.KindVPC, v.ID, vpcTitle(v), v); err != nil {
		return err
	}
	if err := e.cfg.Network.EnsureVPC(ctx, e.networkOf(v)); err != nil {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(err, e.put(ctx, store.KindVPC, v.ID, vpcTitle(v), before), e.cfg.Network.EnsureVPC(ctx, e.networkOf(before)))
	}
	e.networks.keepVPC(v)
	return nil
}

// RemoveVPC removes a VPC that has no subnets.
func (e *Engine) RemoveVPC(ctx context.Context, ref string) error {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return e.removeVPC(ctx, ref, false)
}

// removeVPC is RemoveVPC while the networks are locked; whole: the default one, too.
func (e *Engine) removeVPC(ctx context.Context, ref string, whole bool) error {
	v, err := e.networks.dropVPC(account.Of(ctx).Account, ref, whole)
	if err != nil {
		return err
	}
	if err = e.cfg.Network.RemoveVPC(ctx, networkID(v)); err == nil {
		err = e.cfg.Store.DeleteObject(ctx, store.KindVPC, v.ID)
	}
	if err != nil {
		e.networks.keepVPC(v)
		return err
	}
	e.groupsGone(networkID(v))
	return nil
}

// dropVPC takes a VPC out, unless it has subnets.
func (n *networks) dropVPC(owner, ref string, whole bool) (api.VPC, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	v, err := n.vpc(owner, ref)
	if err != nil {
		return v, err
	}
	if v.Name == api.DefaultName && !whole {
		return v, isDefault("VPC")
	}
	if in := n.subnetsOf(v); len(in) > 0 {
		var names []string
		for _, s := range in {
			names = append(names, s.Name)
		}
		return v, api.Errorf(api.Conflict, "VPC %s has subnets: %s", v.Name, strings.Join(names, ", ")).
			WithNext("remove them first: `cis subnet rm %s`", strings.Join(names, " "))
	}
	for _, a := range n.public {
		if a.VPCID == v.ID {
			return v, api.Errorf(api.Conflict, "public address %s is bound to VPC %s", a.Name, v.Name).
				WithNext("unbind it first: `cis address unbind %s`", a.Name)
		}
	}
	delete(n.vpcs, v.ID)
	return v, nil
}

func isDefault(kind string) error {
	return api.Errorf(api.Conflict, "the default %s is always there", kind)
}

// networkID is what the network of a VPC goes by: the name in the default account, whose
// VPCs were there before accounts were, else the ID. No name looks like an ID.
func networkID(v api.VPC) string {
	if v.Account == account.Default {
		return v.Name
	}
	return v.ID
}

// networkOf is the network of a VPC.
func (e *Engine) networkOf(v api.VPC) network.VPC {
	e.networks.mu.Lock()
	defer e.networks.mu.Unlock()
	return e.network(v)
}

// network is networkOf while the lock of the networks is held.
func (e *Engine) network(v api.VPC) network.VPC {
	cidr, _ := netip.ParsePrefix(v.CIDR)
	cidr6, _ := netip.ParsePrefix(v.CIDR6)
	return network.VPC{ID: networkID(v), CIDR: cidr, CIDR6: cidr6, HostReachable: v.HostReachable, Domain: domainOf(v.Name),
		DNS: resolver{e.names}, Egress: egressOf(v.Egress), Ways: e.networks.ways(v)}
}

// domainOf is the DNS domain of a VPC's instances.
func domainOf(vpc string) string { return vpc + ".internal" }

func egressOf(e api.Egress) network.Egress {
	modes := map[api.EgressMode]network.EgressMode{api.EgressOff: network.EgressOff, api.EgressRules: network.EgressRules}
	return network.Egress{Mode: modes[e.Mode], Allow: rulesOf(e.Allow, nil)}
}

// lockNetworks lets one change of VPCs, subnets, groups and addresses at a time go on.
func (e *Engine) lockNetworks(ctx context.Context) (unlock func(), err error) {
	return e.changes.Lock(ctx, "networks")
}

// allVPCs lists the VPCs as the network knows them.
func (e *Engine) allVPCs() (all []network.VPC) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, v := range slices.Collect(maps.Values(n.vpcs)) {
		all = append(all, e.network(v))
	}
	return all
}
