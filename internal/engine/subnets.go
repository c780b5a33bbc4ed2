package engine

import (
	"context"
	"net/netip"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// Subnets lists the account's subnets by name.
func (e *Engine) Subnets(ctx context.Context) ([]api.Subnet, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []api.Subnet
	for _, s := range sorted(n.subnets, account.Of(ctx).Account, subnetTitle) {
		all = append(all, s.shown())
	}
	return all, nil
}

// Subnet returns a subnet by name or ID.
func (e *Engine) Subnet(ctx context.Context, ref string) (api.Subnet, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.subnet(account.Of(ctx).Account, ref)
	if err != nil {
		return api.Subnet{}, err
	}
	return s.shown(), nil
}

// shown is the subnet with what it has to give now.
func (s *subnet) shown() api.Subnet {
	out := s.Subnet
	_, out.Available = s.addresses.usage()
	return out
}

// CreateSubnet records a subnet. It must be valid and have its defaults.
func (e *Engine) CreateSubnet(ctx context.Context, s api.Subnet) (api.Subnet, error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return s, err
	}
	defer unlock()
	if err := oneAccount(ctx); err != nil {
		return s, err
	}
	s.Account = account.Of(ctx).Account
	if err := e.networks.fit(&s); err != nil {
		return s, err
	}
	s.ID, s.CreatedAt = newShortID("subnet-"), time.Now().UTC()
	made, err := e.makeSubnet(ctx, s)
	if err != nil {
		return s, err
	}
	return made.shown(), nil
}

// makeSubnet records a subnet; the networks are locked.
func (e *Engine) makeSubnet(ctx context.Context, s api.Subnet) (*subnet, error) {
	made := &subnet{s, newAddresses(s.Range(), 0)}
	if err := e.put(ctx, store.KindSubnet, s.ID, subnetTitle(made), s); err != nil {
		return nil, err
	}
	e.networks.keepSubnet(made)
	return made, nil
}

func (n *networks) keepSubnet(s *subnet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.subnets[s.ID] = s
}

// fit checks a new subnet against its VPC and its neighbours, and gives it its IPv6 range.
func (n *networks) fit(s *api.Subnet) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	v, err := n.vpc(s.Account, s.VPC)
	if err != nil {
		return inField(err, "vpc")
	}
	s.VPC = v.Name
	whole, _ := netip.ParsePrefix(v.CIDR)
	mine := s.Range()
	if mine.Bits() < whole.Bits() || !whole.Contains(mine.Addr()) {
		return api.FieldError("cidr", "%s is not inside %s of VPC %s", mine, whole, v.Name)
	}
	used := map[string]bool{}
	for _, other := range n.subnetsOf(v) {
		if other.Range().Overlaps(mine) {
			err := api.Errorf(api.Conflict, "%s overlaps %s of subnet %s", mine, other.CIDR, other.Name)
			err.Field = "cidr"
			return err.WithNext("choose another part of %s", whole)
		}
		used[other.CIDR6] = true
	}
	if s.IPv6 {
		s.CIDR6, err = freeCIDR6(v, used)
	}
	return err
}

// freeCIDR6 is the first /64 of a VPC's IPv6 range that no subnet has. The first and the last of
// all stay free: for what is the VPC's own.
func freeCIDR6(v api.VPC, used map[string]bool) (string, error) {
	whole, err := netip.ParsePrefix(v.CIDR6)
	if err != nil {
		return "", api.FieldError("ipv6", "VPC %s has no IPv6 range", v.Name)
	}
	b := whole.Addr().As16()
	for i := 1; i < 0xffff; i++ {
		b[6], b[7] = byte(i>>8), byte(i)
		if p := netip.PrefixFrom(netip.AddrFrom16(b), 64).String(); !used[p] {
			return p, nil
		}
	}
	return "", api.Errorf(api.Exhausted, "VPC %s has no free IPv6 range", v.Name)
}

// RemoveSubnet removes a subnet that nobody uses.
func (e *Engine) RemoveSubnet(ctx context.Context, ref string) error {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return e.removeSubnet(ctx, ref, false)
}

// removeSubnet is RemoveSubnet while the networks are locked; whole: the default one, too.
func (e *Engine) removeSubnet(ctx context.Context, ref string, whole bool) error {
	s, err := e.networks.dropSubnet(ctx, account.Of(ctx).Account, ref, whole)
	if err != nil {
		return err
	}
	if err := e.cfg.Store.DeleteObject(ctx, store.KindSubnet, s.ID); err != nil {
		e.networks.keepSubnet(s)
		return err
	}
	return e.cfg.Store.DeleteCursor(ctx, s.ID)
}

// dropSubnet takes a subnet out, unless instances on record use it. It waits for the
// sandboxes of ones that are gone.
func (n *networks) dropSubnet(ctx context.Context, owner, ref string, whole bool) (*subnet, error) {
	for {
		s, changed, err := n.tryDropSubnet(owner, ref, whole)
		if err != nil || changed == nil {
			return s, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (n *networks) tryDropSubnet(owner, ref string, whole bool) (*subnet, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, err := n.subnet(owner, ref)
	if err != nil {
		return nil, nil, err
	}
	if s.Name == api.DefaultName && !whole {
		return nil, nil, isDefault("subnet")
	}
	if err := n.inUse("subnet", s.Name, func(m *member) bool { return m.subnet == s.ID }); err != nil {
		return nil, nil, err
	}
	if used, _ := s.addresses.usage(); used > 0 {
		return nil, n.changed, nil
	}
	delete(n.subnets, s.ID)
	return s, nil, nil
}
