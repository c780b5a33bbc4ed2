package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cis/api"
	"cis/internal/store"
)

// disks holds what is on record of disks and snapshots, and who has which disk.
type disks struct {
	mu        sync.Mutex
	all       map[string]api.Disk // each by ID
	snapshots map[string]api.DiskSnapshot
	users     map[string]diskUser
	// changed is closed, and replaced, when somebody gives a disk back.
	changed chan struct{}
}

// diskUser is who has disks: an instance, by its ID, or somebody who does something with
// the file of a disk.
type diskUser struct{ instance, disk, doing string }

// loadDisks reads the record.
func loadDisks(ctx context.Context, s *store.Store) (*disks, error) {
	d := &disks{all: map[string]api.Disk{}, snapshots: map[string]api.DiskSnapshot{}, users: map[string]diskUser{}, changed: make(chan struct{})}
	all, err1 := store.Objects[api.Disk](ctx, s, store.KindDisk)
	snapshots, err2 := store.Objects[api.DiskSnapshot](ctx, s, store.KindSnapshot)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	for _, one := range all {
		d.all[one.ID] = one
	}
	for _, one := range snapshots {
		d.snapshots[one.ID] = one
	}
	return d, nil
}

func diskTitle(d api.Disk) title             { return title{d.Account, d.Name} }
func snapshotTitle(s api.DiskSnapshot) title { return title{s.Account, s.Name} }

// disk finds a disk that an account owns (empty: anybody), by name or ID.
func (d *disks) disk(owner, ref string) (api.Disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, ok := byRef(d.all, owner, ref, diskTitle)
	return one, missing(ok, "disk", "disk", ref)
}

func (d *disks) snapshot(owner, ref string) (api.DiskSnapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, ok := byRef(d.snapshots, owner, ref, snapshotTitle)
	return one, missing(ok, "snapshot", "disk snapshot", ref)
}

// counts are how many disks and snapshots an account (empty: everybody) has.
func (d *disks) counts(owner string) (disks, snapshots int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(sorted(d.all, owner, diskTitle)), len(sorted(d.snapshots, owner, snapshotTitle))
}

// sizes are what has been promised of the host's disk to an account's (empty: everybody's)
// disks and snapshots.
func (d *disks) sizes(owner string) (disks, snapshots api.Bytes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range sorted(d.all, owner, diskTitle) {
		disks += one.Size
	}
	for _, one := range sorted(d.snapshots, owner, snapshotTitle) {
		snapshots += one.Size
	}
	return disks, snapshots
}

// keep puts a disk that is on record into the list.
func (d *disks) keep(one api.Disk) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all[one.ID] = one
}

func (d *disks) keepSnapshot(one api.DiskSnapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.snapshots[one.ID] = one
}

// drop takes a disk or a snapshot out of the list.
func (d *disks) drop(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, id)
	delete(d.snapshots, id)
}

// take gives a user all of these disks, or none: then it tells which one another has,
// and what is closed when that may have changed.
func (d *disks) take(by diskUser, ids []string) (taken string, owner diskUser, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if other, ok := d.users[id]; ok && other != by {
			return id, other, d.changed
		}
	}
	for _, id := range ids {
		d.users[id] = by
	}
	return "", diskUser{}, nil
}

// giveBack takes from a user all disks it has.
func (d *disks) giveBack(by diskUser) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, user := range d.users {
		if user == by {
			delete(d.users, id)
		}
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

// user is the instance that has a disk, by ID, or "".
func (d *disks) user(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.users[id].instance
}

// shown is a disk as users see it.
func (e *Engine) shown(d api.Disk) api.Disk {
	d.AttachedTo = e.nameOf(e.disks.user(d.ID))
	return d
}

// nameOf is the name of an instance; its ID while it has none.
func (e *Engine) nameOf(instance string) string {
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[instance]; m != nil {
		return m.name
	}
	return instance
}

// diskWait is how long a disk is waited for whose instance has ended, and of which the
// sandbox is being taken away.
const diskWait = 10 * time.Second

// takeDisks gives an account's instance the disks of its spec, for as long as it lives.
func (e *Engine) takeDisks(ctx context.Context, owner, instance string, spec api.InstanceSpec) error {
	ids, fields, err := e.disksOf(owner, spec)
	if err != nil || len(ids) == 0 {
		return err
	}
	by := diskUser{instance: instance}
	if refused, err := e.claim(ctx, by, ids); err != nil {
		return inField(err, fields[refused])
	}
	for _, id := range ids {
		if err := e.settleDisk(ctx, id); err != nil {
			e.disks.giveBack(by)
			return inField(err, fields[id])
		}
	}
	return nil
}

// claim gives a user all of these disks, or none; then it tells which one is refused.
func (e *Engine) claim(ctx context.Context, by diskUser, ids []string) (refused string, err error) {
	ctx, cancel := context.WithTimeout(ctx, diskWait)
	defer cancel()
	for {
		taken, owner, changed := e.disks.take(by, ids)
		if taken == "" {
			return "", nil
		}
		inUse := e.inUse(taken, owner)
		if !e.passing(owner) {
			return taken, inUse
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return taken, inUse
		}
	}
}

// disksOf are the disks of a spec, by ID, and the field of each.
func (e *Engine) disksOf(owner string, spec api.InstanceSpec) (ids []string, fields map[string]string, err error) {
	fields = map[string]string{}
	for i, v := range spec.Volumes {
		if v.Disk == nil {
			continue
		}
		field := fmt.Sprintf("volumes[%d].disk", i)
		d, err := e.disks.disk(owner, v.Disk.Name)
		if err != nil {
			return nil, nil, inField(err, field)
		}
		if fields[d.ID] != "" {
			return nil, nil, api.FieldError(field, "disk %s is used twice", d.Name)
		}
		ids, fields[d.ID] = append(ids, d.ID), field
	}
	return ids, fields, nil
}

// passing tells whether an instance has ended and is about to give its disks back.
func (e *Engine) passing(u diskUser) bool {
	if u.doing != "" {
		return false
	}
	l := e.life(u.instance)
	if l == nil {
		return true
	}
	rec, _ := l.snapshot()
	return rec.Status.Phase.Finished() && !rec.Run.Again
}

// inUse says who has a disk.
func (e *Engine) inUse(id string, u diskUser) error {
	d, _ := e.disks.disk("", id)
	if u.doing != "" {
		return api.Errorf(api.Conflict, "disk %s %s", d.Name, u.doing).WithNext("try again when that is done")
	}
	name := e.nameOf(u.instance)
	return api.Errorf(api.Conflict, "disk %s is in use by instance %s", d.Name, name).WithNext("stop it first: `cis stop %s`", name)
}

// occupy keeps a disk from everybody while something is done with its file.
func (e *Engine) occupy(ctx context.Context, id, doing string) (vacate func(), err error) {
	by := diskUser{disk: id, doing: doing}
	if _, err := e.claim(ctx, by, []string{id}); err != nil {
		return nil, err
	}
	return func() { e.disks.giveBack(by) }, nil
}
