package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

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
	sandboxes, cursor, err := e.cfg.Store.Sandboxes(ctx)
	if err != nil {
		return err
	}
	e.addresses = newAddresses(e.cfg.CIDR, cursor)
	for _, in := range instances {
		if in.Status.Address != "" {
			e.addresses.hold(in.Status.Address)
		}
		if !in.Status.Phase.Finished() {
			e.capacity.take(in.Spec.CPU, in.Spec.Memory)
		}
	}
	for _, b := range sandboxes {
		e.addresses.hold(b.Address)
	}
	if err := e.reconcileNetwork(ctx, sandboxes); err != nil {
		return err
	}
	if err := e.removeStrangers(ctx, sandboxes); err != nil {
		return err
	}
	e.sortSandboxes(ctx, sandboxes, instances)
	// All leases come before the first pull, which may collect images without one.
	leases := make([]map[string]*image.Lease, len(instances))
	for i, in := range instances {
		leases[i] = e.leasesOf(*in)
	}
	for i, in := range instances {
		e.takeUp(*in, leases[i])
	}
	return e.sweepFiles(instances)
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
func (e *Engine) takeUp(in store.Instance, leases map[string]*image.Lease) {
	switch {
	case !in.Status.Phase.Finished():
		e.begin(in, time.Now(), leases)
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
		page, err := e.cfg.Store.ListInstances(ctx, at, id, nil, maxPage)
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

func (e *Engine) vpc() network.VPC {
	return network.VPC{ID: e.cfg.VPC, CIDR: e.cfg.CIDR, HostReachable: true, DNS: resolver{e.names}}
}

// reconcileNetwork repairs what the record wants and removes the rest.
func (e *Engine) reconcileNetwork(ctx context.Context, sandboxes []store.Sandbox) error {
	nics := make([]network.NIC, 0, len(sandboxes))
	for _, b := range sandboxes {
		nics = append(nics, nic(e.cfg.VPC, b))
	}
	return e.cfg.Network.Reconcile(ctx, []network.VPC{e.vpc()}, nics)
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
				return fmt.Errorf("remove sandbox %s, which is on no record: %w", id, err)
			}
		}
	}
	return nil
}

// sortSandboxes gives waiting ones back to the pool and destroys those that no
// live instance owns.
func (e *Engine) sortSandboxes(ctx context.Context, sandboxes []store.Sandbox, instances []*store.Instance) {
	owned := map[string]bool{}
	for _, in := range instances {
		if !in.Status.Phase.Finished() && in.Run.Sandbox != "" {
			owned[in.Run.Sandbox] = true
		}
	}
	for _, b := range sandboxes {
		if owned[b.ID] {
			continue
		}
		sb, err := e.recorded(ctx, b.ID)
		if err != nil {
			e.log.Error("a sandbox cannot be removed", "sandbox", b.ID, "error", err)
			continue
		}
		if b.Instance == "" && b.Ready && e.pool.wants(shape{b.CPU, b.Memory}) && e.dial(ctx, sb) == nil {
			e.pool.add(sb)
			continue
		}
		e.wg.Go(func() { e.destroy(sb) })
	}
}

// recorded is the sandbox of that ID as the record has it.
func (e *Engine) recorded(ctx context.Context, id string) (*sandbox, error) {
	all, _, err := e.cfg.Store.Sandboxes(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		if b.ID == id {
			m, err := e.machine(b.Isolation)
			return &sandbox{Sandbox: b, machine: m}, err
		}
	}
	return nil, store.ErrNotFound
}

// sweepFiles removes logs and volume files of instances that are on no record.
func (e *Engine) sweepFiles(instances []*store.Instance) error {
	known := map[string]bool{}
	for _, in := range instances {
		known[in.ID] = true
	}
	var errs []error
	for _, dir := range []string{filepath.Dir(e.logDir("x")), filepath.Dir(e.runDir("x"))} {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			errs = append(errs, err)
		}
		for _, entry := range entries {
			if !known[entry.Name()] {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, entry.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// resolver answers DNS for the default VPC.
type resolver struct{ names *names }

// Lookup implements network.Resolver.
func (r resolver) Lookup(_, name string) []netip.Addr {
	if ip, ok := r.names.lookup(name); ok {
		return []netip.Addr{ip}
	}
	return nil
}

// Reverse implements network.Resolver.
func (r resolver) Reverse(_ string, ip netip.Addr) []string {
	if name, ok := r.names.reverse(ip); ok {
		return []string{name}
	}
	return nil
}
