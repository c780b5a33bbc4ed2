package engine

import (
	"cmp"
	"context"
	"errors"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// Disks lists the disks by name.
func (e *Engine) Disks(ctx context.Context) ([]api.Disk, error) {
	e.disks.mu.Lock()
	all := sorted(e.disks.all, account.Of(ctx).Account, diskTitle)
	e.disks.mu.Unlock()
	for i := range all {
		all[i] = e.shown(all[i])
	}
	return all, nil
}

// Disk returns a disk by name or ID.
func (e *Engine) Disk(ctx context.Context, ref string) (api.Disk, error) {
	d, err := e.disks.disk(account.Of(ctx).Account, ref)
	return e.shown(d), err
}

// CreateDisk makes a disk and records it. It must be valid and have its defaults.
func (e *Engine) CreateDisk(ctx context.Context, d api.Disk) (api.Disk, error) {
	if err := oneAccount(ctx); err != nil {
		return d, err
	}
	d.Account = account.Of(ctx).Account
	unlock, err := e.lockDisks(ctx, d.Account)
	if err != nil {
		return d, err
	}
	defer unlock()
	if _, err := e.disks.disk(d.Account, d.Name); err == nil {
		return d, nameTaken(string(store.KindDisk), d.Name)
	}
	var from api.DiskSnapshot
	if d.Snapshot != "" {
		if from, err = e.fromSnapshot(&d); err != nil {
			return d, err
		}
	}
	m, err := e.machine(d.Isolation)
	if err != nil {
		return d, err
	}
	if err := e.fitsDisks(d.Account, d.Size); err != nil {
		return d, err
	}
	d.ID, d.Isolation, d.CreatedAt, d.Revision = newShortID("disk-"), m.Isolation(), time.Now().UTC(), 1
	if err := e.makeDisk(ctx, d, from); err != nil {
		return d, err
	}
	// A file that is on no record goes with the next start of cisd.
	if err := e.put(ctx, store.KindDisk, d.ID, diskTitle(d), d); err != nil {
		return d, errors.Join(err, e.cfg.Disks.Remove(d.ID))
	}
	e.disks.keep(d)
	e.meterDisk(ctx, d)
	return d, nil
}

// meterDisk lets a disk be paid for as it is on record from now on. What fails is made up
// for with the next change, or the next start of cisd.
func (e *Engine) meterDisk(ctx context.Context, d api.Disk) {
	if err := e.cfg.Store.MeterDisk(context.WithoutCancel(ctx), d, time.Now().UTC()); err != nil {
		e.log.Error("usage cannot be recorded", "disk", d.ID, "error", err)
	}
}

// fromSnapshot takes over what a copy has of its snapshot.
func (e *Engine) fromSnapshot(d *api.Disk) (api.DiskSnapshot, error) {
	s, err := e.disks.snapshot(d.Account, d.Snapshot)
	if err != nil {
		return s, inField(err, "snapshot")
	}
	if d.Isolation != api.IsolationAuto && d.Isolation != s.Isolation {
		return s, api.FieldError("isolation", "snapshot %s is of a disk for isolation %s, and so are its copies", s.Name, s.Isolation)
	}
	d.Size = cmp.Or(d.Size, s.Size)
	if d.Size < s.Size {
		return s, api.FieldError("size", "must be at least that of snapshot %s, %s", s.Name, s.Size)
	}
	d.Snapshot, d.Isolation = s.Name, s.Isolation
	return s, nil
}

// makeDisk makes the file of a disk, or nothing.
func (e *Engine) makeDisk(ctx context.Context, d api.Disk, from api.DiskSnapshot) error {
	if from.ID == "" {
		return e.cfg.Disks.Create(ctx, d.ID, d.Size)
	}
	err := e.cfg.Disks.Restore(ctx, from.ID, d.ID)
	if err != nil || d.Size == from.Size {
		return err
	}
	if err := e.cfg.Disks.Grow(ctx, d.ID, d.Size, hosts(d)); err != nil {
		return errors.Join(err, e.cfg.Disks.Remove(d.ID))
	}
	return nil
}

// hosts tells whether only the host's kernel writes to a disk's file system.
func hosts(d api.Disk) bool { return d.Isolation == api.IsolationGVisor }

// UpdateDisk changes what can change of a disk.
func (e *Engine) UpdateDisk(ctx context.Context, ref string, u api.DiskUpdate) (api.Disk, error) {
	d, err := e.disks.disk(account.Of(ctx).Account, ref)
	if err != nil {
		return d, err
	}
	unlock, err := e.changes.Lock(ctx, d.ID)
	if err != nil {
		return d, err
	}
	defer unlock()
	if d, err = e.disks.disk("", d.ID); err == nil {
		err = outdated("disk", d.Name, d.Revision, u.Revision)
	}
	if err != nil {
		return d, err
	}
	if u.Size != 0 && u.Size != d.Size {
		if err := e.growDisk(ctx, d, u.Size); err != nil {
			return d, err
		}
		d.Size = u.Size
	}
	if u.Labels != nil {
		d.Labels = u.Labels
	}
	d.Revision++
	if err := e.put(ctx, store.KindDisk, d.ID, diskTitle(d), d); err != nil {
		return d, err
	}
	e.disks.keep(d)
	e.meterDisk(ctx, d)
	return e.shown(d), nil
}

func (e *Engine) growDisk(ctx context.Context, d api.Disk, size api.Bytes) error {
	if size < d.Size {
		return api.FieldError("size", "disk %s has %s, and a disk only grows", d.Name, d.Size).
			WithNext("copy what you need to a smaller disk")
	}
	unlock, err := e.lockDisks(ctx, d.Account)
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.fitsDisks(d.Account, size-d.Size); err != nil {
		return err
	}
	vacate, err := e.occupy(ctx, d.ID, "is being made bigger")
	if err != nil {
		return err
	}
	defer vacate()
	return e.cfg.Disks.Grow(ctx, d.ID, size, hosts(d))
}

// lockDisks lets an account get one disk or snapshot at a time: they count in its quota.
func (e *Engine) lockDisks(ctx context.Context, owner string) (unlock func(), err error) {
	return e.changes.Lock(ctx, "disks of "+owner)
}

// RemoveDisk removes a disk that nobody has, with all that is on it.
func (e *Engine) RemoveDisk(ctx context.Context, ref string) error {
	d, err := e.disks.disk(account.Of(ctx).Account, ref)
	if err != nil {
		return err
	}
	unlock, err := e.changes.Lock(ctx, d.ID)
	if err != nil {
		return err
	}
	defer unlock()
	vacate, err := e.occupy(ctx, d.ID, "is being removed")
	if err != nil {
		return err
	}
	defer vacate()
	if d, err = e.disks.disk("", d.ID); err != nil { // another was faster
		return err
	}
	gone := d
	gone.Size = 0
	e.meterDisk(ctx, gone) // first: what is cut off then costs nobody anything
	if err := e.cfg.Store.DeleteObject(ctx, store.KindDisk, d.ID); err != nil {
		e.meterDisk(ctx, d)
		return err
	}
	e.disks.drop(d.ID)
	return e.cfg.Disks.Remove(d.ID)
}

// DiskSnapshots lists the snapshots by name.
func (e *Engine) DiskSnapshots(ctx context.Context) ([]api.DiskSnapshot, error) {
	e.disks.mu.Lock()
	defer e.disks.mu.Unlock()
	return sorted(e.disks.snapshots, account.Of(ctx).Account, snapshotTitle), nil
}

// DiskSnapshot returns a snapshot by name or ID.
func (e *Engine) DiskSnapshot(ctx context.Context, ref string) (api.DiskSnapshot, error) {
	return e.disks.snapshot(account.Of(ctx).Account, ref)
}

// CreateDiskSnapshot copies a disk that no instance has. The snapshot must be valid.
func (e *Engine) CreateDiskSnapshot(ctx context.Context, s api.DiskSnapshot) (api.DiskSnapshot, error) {
	if err := oneAccount(ctx); err != nil {
		return s, err
	}
	s.Account = account.Of(ctx).Account
	unlock, err := e.lockDisks(ctx, s.Account)
	if err != nil {
		return s, err
	}
	defer unlock()
	d, err := e.disks.disk(s.Account, s.Disk)
	if err != nil {
		return s, inField(err, "disk")
	}
	s.ID = newShortID("snap-")
	s.Name = cmp.Or(s.Name, s.ID)
	if _, err := e.disks.snapshot(s.Account, s.Name); err == nil {
		return s, nameTaken(string(store.KindSnapshot), s.Name)
	}
	if err := e.fitsDisks(d.Account, d.Size); err != nil {
		return s, err
	}
	vacate, err := e.occupy(ctx, d.ID, "is being copied")
	if err != nil {
		return s, inField(err, "disk")
	}
	defer vacate()
	if d, err = e.disks.disk("", d.ID); err != nil { // it was removed meanwhile
		return s, inField(err, "disk")
	}
	if err := e.settleDisk(ctx, d.ID); err != nil {
		return s, inField(err, "disk")
	}
	s.Disk, s.Size, s.Isolation, s.CreatedAt = d.Name, d.Size, d.Isolation, time.Now().UTC()
	if err := e.cfg.Disks.Snapshot(ctx, d.ID, s.ID); err != nil {
		return s, err
	}
	if err := e.put(ctx, store.KindSnapshot, s.ID, snapshotTitle(s), s); err != nil {
		return s, errors.Join(err, e.cfg.Disks.Remove(s.ID))
	}
	e.disks.keepSnapshot(s)
	return s, nil
}

// RemoveDiskSnapshot removes a snapshot; disks that were made of it stay.
func (e *Engine) RemoveDiskSnapshot(ctx context.Context, ref string) error {
	s, err := e.disks.snapshot(account.Of(ctx).Account, ref)
	if err != nil {
		return err
	}
	err = e.cfg.Store.DeleteObject(ctx, store.KindSnapshot, s.ID)
	if errors.Is(err, store.ErrNotFound) {
		return missing(false, "snapshot", "disk snapshot", ref)
	}
	if err != nil {
		return err
	}
	e.disks.drop(s.ID)
	return e.cfg.Disks.Remove(s.ID)
}

// openDisks reads the record, gives the instances that live what they have, and makes
// the files what the record says.
func (e *Engine) openDisks(ctx context.Context, instances []*store.Instance) (err error) {
	if e.disks, err = loadDisks(ctx, e.cfg.Store); err != nil {
		return err
	}
	removed, err := e.cfg.Disks.Sweep(func(id string) bool {
		_, isDisk := e.disks.all[id]
		_, isSnapshot := e.disks.snapshots[id]
		return isDisk || isSnapshot
	})
	if err != nil {
		e.log.Error("files of disks that are on no record cannot be removed", "error", err)
	}
	if len(removed) > 0 {
		e.log.Info("removed files of disks that are on no record", "files", removed)
	}
	for _, in := range instances {
		if in.Status.Phase.Finished() {
			continue
		}
		if ids, _, err := e.disksOf(in.Account, in.Spec); err == nil { // else its start will say so
			e.disks.take(diskUser{instance: in.ID}, ids)
		}
	}
	for id, d := range e.disks.all {
		e.meterDisk(ctx, d)
		if e.disks.user(id) != "" {
			continue
		}
		if err := e.settleDisk(ctx, id); err != nil {
			e.log.Error("a disk is not as its record says", "disk", id, "error", err)
		}
	}
	return nil
}

// settleDisk makes the file of a disk that nobody uses, and its record, agree.
func (e *Engine) settleDisk(ctx context.Context, id string) error {
	d, err := e.disks.disk("", id)
	if err != nil {
		return err
	}
	size, err := e.cfg.Disks.Settle(ctx, d.ID, d.Size, hosts(d))
	if err != nil || size == d.Size {
		return err
	}
	d.Size = size
	d.Revision++
	if err := e.put(ctx, store.KindDisk, d.ID, diskTitle(d), d); err != nil {
		return err
	}
	e.disks.keep(d)
	e.meterDisk(ctx, d)
	return nil
}
