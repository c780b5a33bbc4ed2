package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"cis/api"
	"cis/internal/image"
	"cis/internal/network"
	"cis/internal/store"
)

// reconcile makes the host agree with the record after a start: what is on
// record is taken up again or finished, what is on no record is removed.
func (e *Engine) reconcile(ctx context.Context) error {
	instances, err := e.allInstances(ctx)
	if err != nil {
		return err
	}
	sandboxes, err := e.cfg.Store.Sandboxes(ctx)
	if err != nil {
		return err
	}
	if e.identities, err = loadIdentities(ctx, e.cfg.Store); err != nil {
		return err
	}
	if err := e.openNetworks(ctx, instances); err != nil {
		return err
	}
	if err := e.openDisks(ctx, instances); err != nil {
		return err
	}
	for _, in := range instances {
		e.catalog.apply(api.WatchAdded, in.Instance)
	}
	kept, dropped := e.sort(sandboxes, instances)
	for _, in := range instances {
		if !in.Status.Phase.Finished() {
			e.capacity.take(e.heldBy(in))
		}
	}
	if err := e.cfg.Store.EndUsage(ctx, idsOf(kept)); err != nil {
		return err
	}
	for _, b := range sandboxes {
		e.networks.hold(b)
	}
	// Without the default network there is nothing to serve.
	first := e.networkOf(e.networks.vpcOf(""))
	first.Ways = network.Ways{} // they are adopted with the rest: a port that is lost is no reason not to serve
	if err := e.cfg.Network.EnsureVPC(ctx, first); err != nil {
		return err
	}
	if err := e.openAccounts(ctx); err != nil {
		return err
	}
	e.reconcileNetwork(ctx, kept)
	for _, b := range kept {
		e.networks.plug(b)
	}
	if err := e.removeStrangers(ctx, sandboxes); err != nil {
		return err
	}
	for _, b := range dropped {
		e.drop(ctx, b)
	}
	owned := map[string]*sandbox{}
	for _, b := range kept {
		m, err := e.machine(b.Isolation)
		if err != nil {
			return fmt.Errorf("take up sandbox %s: %w", b.ID, err)
		}
		sb := &sandbox{Sandbox: b, machine: m}
		if b.Instance == "" {
			e.pool.earlier = append(e.pool.earlier, sb)
		} else {
			owned[b.Instance] = sb
		}
	}
	// All leases come before the first pull, which may collect images without one.
	leases := make([]map[string]*image.Lease, len(instances))
	for i, in := range instances {
		leases[i] = e.leasesOf(*in)
	}
	for i, in := range instances {
		e.takeUp(*in, leases[i], owned[in.ID])
	}
	if err := e.sweepFiles(instances); err != nil {
		e.log.Warn("files of instances that are gone cannot be removed", "error", err)
	}
	return nil
}

// leasesOf holds the images that a live instance had resolved, as far as they are
// still here.
func (e *Engine) leasesOf(in store.Instance) map[string]*image.Lease {
	leases := map[string]*image.Lease{}
	if in.Status.Phase.Finished() {
		return leases
	}
	for name, digest := range in.Run.Images {
		if lease, err := e.cfg.Images.Lease(digest); err == nil {
			leases[name] = lease
		}
	}
	return leases
}

// takeUp goes on with an instance on record.
func (e *Engine) takeUp(in store.Instance, leases map[string]*image.Lease, sb *sandbox) {
	switch {
	case !in.Status.Phase.Finished():
		e.begin(in, time.Now(), leases, sb)
	case in.Run.Again && !in.Run.Remove:
		// A restart was cut off between the end of one run and the next.
		if _, err := e.Start(e.ctx, in.ID); err != nil {
			e.log.Error("an instance cannot be restarted", "instance", in.ID, "error", err)
		}
	case in.Run.Remove || in.Run.RemoveAfter:
		if err := e.forget(e.ctx, in); err != nil {
			e.log.Error("an instance cannot be removed", "instance", in.ID, "error", err)
		}
	default:
		e.expire(in)
	}
}

func (e *Engine) allInstances(ctx context.Context) (all []*store.Instance, err error) {
	var at time.Time
	var id string
	for {
		page, err := e.cfg.Store.ListInstances(ctx, "", at, id, nil, maxPage)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < maxPage {
			return all, nil
		}
		at, id = page[len(page)-1].CreatedAt, page[len(page)-1].ID
	}
}

// openNetworks reads what is on record of the network, and who uses it.
func (e *Engine) openNetworks(ctx context.Context, instances []*store.Instance) (err error) {
	if e.networks, err = loadNetworks(ctx, e.cfg.Store, e.cfg.Network); err != nil {
		return err
	}
	if err := e.ensureDefaults(ctx); err != nil {
		return err
	}
	for _, in := range instances {
		placed := in.Spec.Network.VPC != ""
		err := e.networks.rejoin(in)
		if err == nil && !placed { // it was recorded before there were VPCs to choose from
			err = e.cfg.Store.UpdateInstance(ctx, in, false, func() {})
		}
		if err != nil {
			return fmt.Errorf("instance %s: %w", in.ID, err)
		}
	}
	if err := e.checkRange(instances); err != nil {
		return err
	}
	return e.unbindStrangers(ctx)
}

// reconcileNetwork repairs what the record wants and removes the rest.
func (e *Engine) reconcileNetwork(ctx context.Context, sandboxes []store.Sandbox) {
	want := e.wantedNetwork(sandboxes)
	for vpc, groups := range want.Groups {
		e.noteGroups(vpc, groups)
	}
	if err := e.cfg.Network.Reconcile(ctx, want); err != nil {
		// What one interface lacks must not keep the others from service.
		e.log.Error("the network is not all as it should be", "error", err)
	}
}

// wantedNetwork is what the record wants of the host's network.
func (e *Engine) wantedNetwork(sandboxes []store.Sandbox) network.State {
	want := network.State{VPCs: e.allVPCs(), Groups: map[string][]network.Group{}}
	for _, v := range want.VPCs {
		want.Groups[v.ID] = e.networks.groupsOf(v.ID)
	}
	for _, b := range sandboxes {
		want.NICs = append(want.NICs, e.networks.nic(b))
	}
	return want
}

// mend repairs what somebody has changed by hand since the start.
func (e *Engine) mend(ctx context.Context) error { return e.cfg.Network.Mend(ctx, e.holdNetwork) }

// holdNetwork is what the record wants of the host's network, which stays so until done
// is called. The VPC, if one is named, is about to be brought to it.
func (e *Engine) holdNetwork(ctx context.Context, vpc string) (want network.State, done func(), err error) {
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return network.State{}, nil, err
	}
	e.wires.Lock()
	done = func() { e.wires.Unlock(); unlock() }
	sandboxes, err := e.cfg.Store.Sandboxes(ctx)
	if err != nil {
		done()
		return network.State{}, nil, err
	}
	want = e.wantedNetwork(sandboxes)
	if groups, ok := want.Groups[vpc]; ok {
		e.noteGroups(vpc, groups)
	}
	return want, done, nil
}

// removeStrangers destroys sandboxes on the host that are on no record.
func (e *Engine) removeStrangers(ctx context.Context, sandboxes []store.Sandbox) error {
	known := map[string]bool{}
	for _, b := range sandboxes {
		known[b.ID] = true
	}
	for iso, m := range e.cfg.Machines {
		ids, err := m.List(ctx)
		if err != nil {
			return fmt.Errorf("list the sandboxes of %s: %w", iso, err)
		}
		for _, id := range ids {
			if known[id] {
				continue
			}
			e.log.Info("removing a sandbox that is on no record", "sandbox", id)
			if err := m.Destroy(ctx, id); err != nil {
				e.log.Error("a sandbox that is on no record cannot be removed", "sandbox", id, "error", err)
			}
		}
	}
	return nil
}

// sort tells the sandboxes that are kept, those of live instances and ones that may
// wait in the pool, from the rest: those of nobody, and those whose making was cut
// off, in which nothing has run. Their instances get new ones.
func (e *Engine) sort(sandboxes []store.Sandbox, instances []*store.Instance) (kept, dropped []store.Sandbox) {
	owners := map[string]*store.Instance{}
	for _, in := range instances {
		if !in.Status.Phase.Finished() && in.Run.Sandbox != "" {
			owners[in.Run.Sandbox] = in
		}
	}
	waiting := map[shape]int{}
	for _, b := range sandboxes {
		owner, size := owners[b.ID], shape{b.CPU, b.Memory}
		switch {
		case b.Ready && owner != nil:
			b.Instance = owner.ID
			setResources(owner, api.ResourceList{CPU: b.CPU, Memory: b.Memory})
			kept = append(kept, b)
		case b.Ready && b.Instance == "" && waiting[size] < e.pool.wanted(size) &&
			b.Subnet == defaultSubnet && e.networks.subnetOf("").addresses.contains(b.Address):
			waiting[size]++
			kept = append(kept, b)
		default:
			dropped = append(dropped, b)
			continue
		}
		delete(owners, b.ID)
	}
	// Theirs are dropped, or were when cisd was cut off before it could say so.
	for _, in := range owners {
		withoutSandbox(in)
	}
	return kept, dropped
}

// checkRange refuses a changed range while instances run with addresses outside of it.
func (e *Engine) checkRange(instances []*store.Instance) error {
	for _, in := range instances {
		s := e.networks.subnetOf(in.ID)
		if !in.Status.Phase.Finished() && in.Run.Sandbox != "" && !s.addresses.contains(in.Status.Address) {
			return api.Errorf(api.Conflict, "instance %s runs with address %s, which is not in -cidr %s", in.Spec.Name, in.Status.Address, e.cfg.CIDR).
				WithNext("start cisd with the -cidr it had, and stop the instance before changing it")
		}
	}
	return nil
}

// drop destroys a sandbox that is not kept, or leaves that to a goroutine if it
// does not succeed at once.
func (e *Engine) drop(ctx context.Context, b store.Sandbox) {
	m, err := e.machine(b.Isolation)
	if err != nil {
		e.log.Error("a sandbox cannot be removed", "sandbox", b.ID, "error", err)
		return
	}
	sb := &sandbox{Sandbox: b, machine: m}
	if err := e.tryDestroy(ctx, sb); err != nil {
		e.log.Warn("a sandbox cannot be removed yet", "sandbox", b.ID, "error", err)
		e.wg.Go(func() { e.destroy(sb) })
	}
}

// sweepFiles removes logs and volume files of instances that are on no record.
func (e *Engine) sweepFiles(instances []*store.Instance) error {
	known, live := map[string]bool{}, map[string]bool{}
	for _, in := range instances {
		known[in.ID] = true
		live[in.ID] = !in.Status.Phase.Finished()
	}
	return errors.Join(sweep(filepath.Dir(e.logDir("x")), known), sweep(filepath.Dir(e.runDir("x")), live))
}

// sweep removes what is in a directory but for what is to be kept.
func sweep(dir string, kept map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if !kept[entry.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}

// resolver answers DNS for the VPCs.
type resolver struct{ names *names }

// Lookup implements network.Resolver.
func (r resolver) Lookup(vpc, name string) []netip.Addr { return r.names.lookup(vpc, name) }

// Reverse implements network.Resolver.
func (r resolver) Reverse(vpc string, ip netip.Addr) []string {
	if name, ok := r.names.reverse(vpc, ip); ok {
		return []string{name}
	}
	return nil
}
