package servertest

import (
	"cmp"
	"context"

	"cis/api"
)

// disks keeps what is made of disks, by name.
type disks struct {
	disks     map[string]api.Disk
	snapshots map[string]api.DiskSnapshot
}

func newDisks() disks {
	return disks{disks: map[string]api.Disk{}, snapshots: map[string]api.DiskSnapshot{}}
}

// Disks implements server.Engine.
func (e *Engine) Disks(context.Context) ([]api.Disk, error) {
	return within(e, func() ([]api.Disk, error) { return byName(e.disks.disks), nil })
}

// Disk implements server.Engine.
func (e *Engine) Disk(_ context.Context, ref string) (api.Disk, error) {
	return within(e, func() (api.Disk, error) { return get(e.disks.disks, "disk", ref) })
}

// CreateDisk implements server.Engine.
func (e *Engine) CreateDisk(_ context.Context, d api.Disk) (api.Disk, error) {
	d.ID, d.Revision = "disk-"+d.Name, 1
	if d.Isolation == api.IsolationAuto {
		d.Isolation = api.IsolationGVisor
	}
	return within(e, func() (api.Disk, error) {
		if d.Snapshot != "" {
			s, err := get(e.snapshots, "snapshot", d.Snapshot)
			if err != nil {
				return d, err
			}
			d.Size = cmp.Or(d.Size, s.Size)
		}
		return add(e.disks.disks, "disk", d.Name, d)
	})
}

// UpdateDisk implements server.Engine.
func (e *Engine) UpdateDisk(_ context.Context, ref string, u api.DiskUpdate) (api.Disk, error) {
	return within(e, func() (api.Disk, error) {
		d, err := get(e.disks.disks, "disk", ref)
		if err != nil {
			return d, err
		}
		if u.Size != 0 && u.Size < d.Size {
			return d, api.FieldError("size", "a disk only grows")
		}
		d.Size = cmp.Or(u.Size, d.Size)
		if u.Labels != nil {
			d.Labels = u.Labels
		}
		d.Revision++
		e.disks.disks[ref] = d
		return d, nil
	})
}

// RemoveDisk implements server.Engine.
func (e *Engine) RemoveDisk(_ context.Context, ref string) error {
	return remove(e, e.disks.disks, "disk", ref)
}

// AttachDisk implements server.Engine.
func (e *Engine) AttachDisk(_ context.Context, ref string, a api.DiskAttachment) (api.Instance, error) {
	return within(e, func() (api.Instance, error) {
		if _, err := get(e.disks.disks, "disk", ref); err != nil {
			return api.Instance{}, err
		}
		return e.changeEnded(a.Instance, func(spec *api.InstanceSpec) error { return spec.AttachDisk(ref, a) })
	})
}

// DetachDisk implements server.Engine.
func (e *Engine) DetachDisk(_ context.Context, ref string, d api.DiskDetachment) (api.Instance, error) {
	return within(e, func() (api.Instance, error) {
		return e.changeEnded(d.Instance, func(spec *api.InstanceSpec) error {
			if !spec.DetachDisk(ref) {
				return api.FieldError("instance", "%s has no disk %s", d.Instance, ref)
			}
			return nil
		})
	})
}

// changeEnded changes the spec of an instance that does not run; e.mu is held.
func (e *Engine) changeEnded(ref string, fn func(*api.InstanceSpec) error) (api.Instance, error) {
	in, err := e.find(ref)
	if err != nil {
		return api.Instance{}, err
	}
	if !in.Status.Phase.Finished() {
		return api.Instance{}, api.Errorf(api.Conflict, "instance %s runs", in.Spec.Name)
	}
	err = fn(&in.Spec)
	return in.Instance, err
}

// DiskSnapshots implements server.Engine.
func (e *Engine) DiskSnapshots(context.Context) ([]api.DiskSnapshot, error) {
	return within(e, func() ([]api.DiskSnapshot, error) { return byName(e.snapshots), nil })
}

// DiskSnapshot implements server.Engine.
func (e *Engine) DiskSnapshot(_ context.Context, ref string) (api.DiskSnapshot, error) {
	return within(e, func() (api.DiskSnapshot, error) { return get(e.snapshots, "snapshot", ref) })
}

// CreateDiskSnapshot implements server.Engine.
func (e *Engine) CreateDiskSnapshot(_ context.Context, s api.DiskSnapshot) (api.DiskSnapshot, error) {
	return within(e, func() (api.DiskSnapshot, error) {
		d, err := get(e.disks.disks, "disk", s.Disk)
		if err != nil {
			return s, err
		}
		s.ID, s.Size, s.Isolation = "snap-00000001", d.Size, d.Isolation
		s.Name = cmp.Or(s.Name, s.ID)
		return add(e.snapshots, "snapshot", s.Name, s)
	})
}

// RemoveDiskSnapshot implements server.Engine.
func (e *Engine) RemoveDiskSnapshot(_ context.Context, ref string) error {
	return remove(e, e.snapshots, "snapshot", ref)
}
