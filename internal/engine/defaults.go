package engine

import (
	"context"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// The IDs of what is always there: the default network of the default account.
const (
	defaultVPC    = "vpc-default"
	defaultSubnet = "subnet-default"
	defaultGroup  = "sg-default"
)

// ensureDefaults records the VPC, subnet and security group that are always there.
func (e *Engine) ensureDefaults(ctx context.Context) error {
	v, err := e.ensureDefaultVPC(ctx)
	if err == nil {
		err = e.ensureDefaultSubnet(ctx, v)
	}
	if _, ok := e.networks.groups[defaultGroup]; ok || err != nil {
		return err
	}
	return e.putDefaultGroup(ctx, account.Default, defaultGroup)
}

// ensureDefaultVPC makes the default VPC have the configured range.
func (e *Engine) ensureDefaultVPC(ctx context.Context) (api.VPC, error) {
	n, cidr := e.networks, e.cfg.CIDR.Masked().String()
	v, ok := n.vpcs[defaultVPC]
	if !ok {
		v = e.newDefaultVPC(account.Default, defaultVPC)
		v.HostReachable, v.CIDR = true, ""
	}
	if v.CIDR == cidr {
		return v, nil
	}
	for _, s := range n.subnetsOf(v) {
		if s.ID != defaultSubnet {
			return v, api.Errorf(api.Conflict, "subnet %s (%s) is in the default VPC, whose range is to become %s", s.Name, s.CIDR, cidr).
				WithNext("start cisd with -cidr %s, and remove the subnet first", v.CIDR)
		}
	}
	v.CIDR = cidr
	if err := e.put(ctx, store.KindVPC, v.ID, vpcTitle(v), v); err != nil {
		return v, err
	}
	n.vpcs[v.ID] = v
	return v, nil
}

func (e *Engine) ensureDefaultSubnet(ctx context.Context, v api.VPC) error {
	n := e.networks
	s := newDefaultSubnet(v, defaultSubnet)
	var cursor uint32
	if have := n.subnets[defaultSubnet]; have != nil {
		s, cursor = have.Subnet, have.addresses.cursorNow()
	} else if cursors, err := e.cfg.Store.Cursors(ctx); err == nil {
		cursor = cursors[defaultSubnet]
	}
	if s.CIDR == v.CIDR && n.subnets[defaultSubnet] != nil {
		return nil
	}
	s.CIDR = v.CIDR
	if err := e.put(ctx, store.KindSubnet, s.ID, title{s.Account, s.Name}, s); err != nil {
		return err
	}
	n.subnets[s.ID] = &subnet{s, newAddresses(s.Range(), cursor)}
	return nil
}

// newDefaultVPC is the VPC that comes with an account.
func (e *Engine) newDefaultVPC(owner, id string) api.VPC {
	v := api.VPC{ID: id, Account: owner, Name: api.DefaultName, CIDR: e.cfg.CIDR.Masked().String(), CIDR6: newCIDR6(),
		CreatedAt: time.Now().UTC(), Revision: 1}
	v.Default()
	return v
}

// newDefaultSubnet is the one subnet of a VPC that comes with an account.
func newDefaultSubnet(v api.VPC, id string) api.Subnet {
	return api.Subnet{ID: id, Account: v.Account, Name: api.DefaultName, VPC: v.Name, CIDR: v.CIDR, CreatedAt: time.Now().UTC()}
}

func (e *Engine) putDefaultGroup(ctx context.Context, owner, id string) error {
	g := api.SecurityGroup{ID: id, Account: owner, Name: api.DefaultName, CreatedAt: time.Now().UTC(), Revision: 1}
	g.Default()
	if err := e.put(ctx, store.KindSecurityGroup, g.ID, groupTitle(g), g); err != nil {
		return err
	}
	e.networks.keepGroup(g)
	return nil
}

// furnishNetwork makes the default network of an account as far as it is missing; the
// networks are locked.
func (e *Engine) furnishNetwork(ctx context.Context, owner string) error {
	v, err := e.VPC(ctx, api.DefaultName)
	if api.CodeOf(err) == api.NotFound {
		v = e.newDefaultVPC(owner, newShortID("vpc-"))
		err = e.makeVPC(ctx, v)
	}
	if err != nil {
		return err
	}
	if _, err = e.Subnet(ctx, api.DefaultName); api.CodeOf(err) == api.NotFound {
		_, err = e.makeSubnet(ctx, newDefaultSubnet(v, newShortID("subnet-")))
	}
	if err != nil {
		return err
	}
	if _, err = e.SecurityGroup(ctx, api.DefaultName); api.CodeOf(err) == api.NotFound {
		err = e.putDefaultGroup(ctx, owner, newShortID("sg-"))
	}
	return err
}

// removeDefaults removes the default network of the caller's account, as far as it is there.
func (e *Engine) removeDefaults(ctx context.Context) error {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, remove := range []func(context.Context, string, bool) error{e.removeSubnet, e.removeVPC, e.removeGroup} {
		if err := remove(ctx, api.DefaultName, true); err != nil && api.CodeOf(err) != api.NotFound {
			return err
		}
	}
	return nil
}
