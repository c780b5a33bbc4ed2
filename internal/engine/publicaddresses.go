package engine

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// publicCursor is the name of the cursor of the public addresses.
const publicCursor = "public"

// Addresses lists the account's public addresses by name.
func (e *Engine) Addresses(ctx context.Context) ([]api.Address, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	all := sorted(n.public, account.Of(ctx).Account, addressTitle)
	for i := range all {
		all[i] = n.shown(all[i])
	}
	return all, nil
}

// Address returns a public address by name or ID.
func (e *Engine) Address(ctx context.Context, ref string) (api.Address, error) {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.address(account.Of(ctx).Account, ref)
	return n.shown(a), err
}

// shown is an address with the name of what it is bound to; n.mu is held.
func (n *networks) shown(a api.Address) api.Address {
	if m := n.members[a.InstanceID]; m != nil {
		a.Instance = m.name
	}
	a.VPC = n.vpcs[a.VPCID].Name
	return a
}

// boundTo names what an address as shown is bound to.
func boundTo(a api.Address) string {
	if a.VPCID != "" {
		return "VPC " + a.VPC
	}
	return "instance " + a.Instance
}

// CreateAddress takes a public address out of the pool.
func (e *Engine) CreateAddress(ctx context.Context, a api.Address) (api.Address, error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return a, err
	}
	defer unlock()
	if err := oneAccount(ctx); err != nil {
		return a, err
	}
	return e.newAddress(ctx, a)
}

// newAddress records an address; the networks are locked.
func (e *Engine) newAddress(ctx context.Context, a api.Address) (api.Address, error) {
	if err := e.fitsAddresses(account.Of(ctx).Account); err != nil {
		return a, err
	}
	ip, err := e.choosePublic(ctx, a.Address)
	if err != nil {
		return a, err
	}
	a.ID, a.Account, a.Address, a.CreatedAt = newShortID("eip-"), account.Of(ctx).Account, ip.String(), time.Now().UTC()
	if a.Name == "" {
		a.Name = a.ID
	}
	return a, e.keepAddress(ctx, a)
}

// keepAddress records an address as it is now.
func (e *Engine) keepAddress(ctx context.Context, a api.Address) error {
	a.Instance, a.VPC = "", "" // shown by the IDs
	if err := e.put(ctx, store.KindAddress, a.ID, addressTitle(a), a); err != nil {
		return err
	}
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	n.public[a.ID] = a
	return nil
}

// choosePublic finds a free address of the pool, the one longest unused, or checks the
// one that is wanted.
func (e *Engine) choosePublic(ctx context.Context, want string) (netip.Addr, error) {
	pool := e.cfg.PublicAddresses
	if len(pool) == 0 {
		return netip.Addr{}, api.Errorf(api.Exhausted, "this cisd has no public addresses").
			WithNext("start it with -public-addresses CIDR, or publish ports of the host: `cis run -p 8080:80`")
	}
	used := e.networks.usedPublic()
	if want != "" {
		return wantedPublic(account.Of(ctx).Account, pool, used, want)
	}
	cursors, err := e.cfg.Store.Cursors(ctx)
	if err != nil {
		return netip.Addr{}, err
	}
	ip, ok := nextPublic(pool, used, cursors[publicCursor])
	if !ok {
		return ip, api.Errorf(api.Exhausted, "every public address is taken").WithNext("`cis address list` shows by whom")
	}
	return ip, e.cfg.Store.SetCursor(ctx, publicCursor, toUint(ip))
}

func (n *networks) usedPublic() map[netip.Addr]api.Address {
	n.mu.Lock()
	defer n.mu.Unlock()
	used := map[netip.Addr]api.Address{}
	for _, a := range n.public {
		if ip, err := netip.ParseAddr(a.Address); err == nil {
			used[ip] = a
		}
	}
	return used
}

func wantedPublic(owner string, pool []netip.Prefix, used map[netip.Addr]api.Address, want string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(want)
	if err != nil {
		return ip, api.FieldError("address", "must be an IPv4 address, not %q", want)
	}
	if a, ok := used[ip]; ok {
		taken := api.Errorf(api.Conflict, "%s is public address %s already", ip, a.Name)
		if a.Account != owner {
			taken = api.Errorf(api.Conflict, "%s is taken", ip)
		}
		taken.Field = "address"
		return ip, taken
	}
	for _, p := range pool {
		if p.Contains(ip) {
			return ip, nil
		}
	}
	return ip, api.FieldError("address", "%s is not in this cisd's pool", ip).WithNext("leave it out for a free one")
}

// nextPublic is the first free address of the pool after the cursor, else of all.
func nextPublic(pool []netip.Prefix, used map[netip.Addr]api.Address, cursor uint32) (first netip.Addr, ok bool) {
	for _, p := range pool {
		for ip := p.Masked().Addr(); p.Contains(ip); ip = ip.Next() {
			if _, taken := used[ip]; taken {
				continue
			}
			if toUint(ip) > cursor {
				return ip, true
			}
			if !ok {
				first, ok = ip, true
			}
		}
	}
	return first, ok
}

// RemoveAddress gives a public address back to the pool, unless it is bound.
func (e *Engine) RemoveAddress(ctx context.Context, ref string) error {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	a, err := e.Address(ctx, ref)
	if err != nil {
		return err
	}
	if a.Bound() {
		return api.Errorf(api.Conflict, "public address %s is bound to %s", a.Name, boundTo(a)).
			WithNext("unbind it first: `cis address unbind %s`", a.Name)
	}
	return e.dropAddress(ctx, a)
}

func (e *Engine) dropAddress(ctx context.Context, a api.Address) error {
	if err := e.cfg.Store.DeleteObject(ctx, store.KindAddress, a.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.public, a.ID)
	return nil
}

// BindAddress binds a public address to an instance, live; one that is bound to another
// is moved.
func (e *Engine) BindAddress(ctx context.Context, ref, instance string) (api.Address, error) {
	rec, err := e.find(ctx, instance)
	if err != nil {
		return api.Address{}, inField(err, "instance")
	}
	if err := oneAccount(ctx); err != nil { // else the two may be of different ones
		return api.Address{}, err
	}
	return e.rebind(ctx, ref, rec.ID, "")
}

// RouteAddress binds a public address to a VPC, live, from wherever it was: it leads to the
// VPC's router.
func (e *Engine) RouteAddress(ctx context.Context, ref, vpc string) (api.Address, error) {
	if err := oneAccount(ctx); err != nil {
		return api.Address{}, err
	}
	v, err := e.VPC(ctx, vpc)
	if err != nil {
		return api.Address{}, inField(err, "vpc")
	}
	return e.rebind(ctx, ref, "", v.ID)
}

// UnbindAddress takes a public address from its instance or VPC, live.
func (e *Engine) UnbindAddress(ctx context.Context, ref string) (api.Address, error) {
	return e.rebind(ctx, ref, "", "")
}

// rebind makes an address an instance's or a VPC's, by ID, or nobody's.
func (e *Engine) rebind(ctx context.Context, ref, instance, vpc string) (api.Address, error) {
	before, err := e.move(ctx, ref, instance, vpc)
	if err != nil {
		return api.Address{}, err
	}
	// Not while the networks are locked: who holds an instance may wait for them.
	e.showPublic(ctx, before.InstanceID)
	e.showPublic(ctx, instance)
	return e.Address(ctx, ref)
}

// move does it, on record and live, and returns the address as it was.
func (e *Engine) move(ctx context.Context, ref, instance, vpc string) (before api.Address, err error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return before, err
	}
	defer unlock()
	a, err := e.Address(ctx, ref)
	if err != nil {
		return before, err
	}
	if before = a; a.InstanceID == instance && a.VPCID == vpc {
		return before, nil
	}
	if a.Auto {
		return before, api.Errorf(api.Conflict, "public address %s comes and goes with instance %s", a.Name, a.Instance).
			WithNext("make one that stays: `cis address create`")
	}
	if err := e.networks.mayBind(instance); err != nil {
		return before, err
	}
	a.InstanceID, a.VPCID = instance, vpc
	if err := e.keepAddress(ctx, a); err != nil {
		return before, err
	}
	// The old owner lets go first: two must never answer for one address.
	if err = e.refreshOwner(ctx, before); err == nil {
		err = e.refreshOwner(ctx, a)
	}
	if err != nil {
		ctx := context.WithoutCancel(ctx)
		return before, errors.Join(err, e.keepAddress(ctx, before), e.refreshOwner(ctx, a), e.refreshOwner(ctx, before))
	}
	return before, nil
}

// refreshOwner brings what an address is bound to, if that is there, to what is on record.
func (e *Engine) refreshOwner(ctx context.Context, a api.Address) error {
	if a.VPCID == "" {
		return e.refresh(ctx, a.InstanceID)
	}
	v, err := e.VPC(ctx, a.VPCID)
	if err != nil {
		return inField(err, "vpc")
	}
	return e.cfg.Network.EnsureVPC(ctx, e.networkOf(v))
}

// mayBind refuses a second address of one instance.
func (n *networks) mayBind(instance string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[instance]
	if instance == "" {
		return nil
	}
	if m == nil {
		return api.Errorf(api.Conflict, "the instance is being removed")
	}
	for _, a := range n.public {
		if a.InstanceID == instance {
			return api.Errorf(api.Conflict, "instance %s has public address %s already", m.name, a.Name).
				WithNext("unbind that first: `cis address unbind %s`", a.Name)
		}
	}
	return nil
}

// showPublic shows the address that an instance has now in its status, if it is on record.
func (e *Engine) showPublic(ctx context.Context, instance string) {
	if instance == "" {
		return
	}
	err := e.change(ctx, instance, func(in *store.Instance) {
		a, _ := e.networks.publicOf(instance)
		in.Status.PublicAddress = a.Address
	})
	if err != nil {
		e.log.Error("the record cannot be written", "instance", instance, "error", err)
	}
}

// claimPublic binds what a new instance asks for, and returns the address.
func (e *Engine) claimPublic(ctx context.Context, instance, ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if ref == api.AutoAddress {
		a, err := e.newAddress(ctx, api.Address{Auto: true, InstanceID: instance})
		return a.Address, inField(err, "network.publicAddress")
	}
	a, err := e.Address(ctx, ref)
	if err != nil {
		return "", inField(err, "network.publicAddress")
	}
	if a.Bound() {
		err := api.Errorf(api.Conflict, "public address %s is bound to %s", a.Name, boundTo(a))
		err.Field = "network.publicAddress"
		return "", err.WithNext("unbind it first: `cis address unbind %s`", a.Name)
	}
	a.InstanceID = instance
	return a.Address, e.keepAddress(ctx, a)
}

// releasePublic unbinds what an instance had, and removes what came with it.
func (e *Engine) releasePublic(ctx context.Context, instance string) error {
	if _, bound := e.networks.publicOf(instance); !bound {
		return nil
	}
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	a, bound := e.networks.publicOf(instance)
	switch {
	case !bound:
		return nil
	case a.Auto:
		return e.dropAddress(ctx, a)
	}
	a.InstanceID = ""
	return e.keepAddress(ctx, a)
}

// publicOf is the public address of an instance.
func (n *networks) publicOf(instance string) (api.Address, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bound(instance)
}

// bound is publicOf while n.mu is held.
func (n *networks) bound(instance string) (api.Address, bool) {
	for _, a := range n.public {
		if a.InstanceID == instance && instance != "" {
			return a, true
		}
	}
	return api.Address{}, false
}

// unbindStrangers releases the addresses of instances that are on no record.
func (e *Engine) unbindStrangers(ctx context.Context) error {
	var errs []error
	addresses, _ := e.Addresses(ctx)
	for _, a := range addresses {
		if a.InstanceID != "" && a.Instance == "" {
			errs = append(errs, e.releasePublic(ctx, a.InstanceID))
		}
	}
	return errors.Join(errs...)
}
