package engine

import (
	"context"
	"fmt"

	"cis/api"
	"cis/internal/account"
	"cis/internal/machine"
)

// placeDisks makes an instance one of the isolation that its disks are for.
func (e *Engine) placeDisks(owner string, spec *api.InstanceSpec) error {
	for i, v := range spec.Volumes {
		if v.Disk == nil {
			continue
		}
		field := fmt.Sprintf("volumes[%d].disk", i)
		d, err := e.disks.disk(owner, v.Disk.Name)
		if err != nil {
			return inField(err, field)
		}
		if spec.Isolation == api.IsolationAuto {
			spec.Isolation = d.Isolation
		}
		if spec.Isolation != d.Isolation {
			return api.FieldError(field, "disk %s is for instances of isolation %s, and this one is to be %s", d.Name, d.Isolation, spec.Isolation).
				WithNext("leave the isolation out, or name a disk that is for it: `cis disk list`")
		}
	}
	return nil
}

// kept are the volumes of an instance that are disks. What is missing is found out when the
// sandbox starts.
func (e *Engine) kept(in api.Instance) (volumes []machine.Volume) {
	for _, v := range in.Spec.Volumes {
		if v.Disk != nil {
			volumes = append(volumes, machine.Volume{Name: v.Name, Disk: e.diskPath(in.Account, v.Disk), Group: fsGroup(in.Spec), Regroup: regroups(in.Spec)})
		}
	}
	return volumes
}

// diskPath is where the file of a volume's disk is.
func (e *Engine) diskPath(owner string, v *api.DiskVolume) string {
	d, err := e.disks.disk(owner, v.Name)
	if err != nil {
		return e.cfg.Disks.Path(v.Name)
	}
	return e.cfg.Disks.Path(d.ID)
}

// AttachDisk lets an instance that has ended have a disk when it starts again. The
// attachment must be valid.
func (e *Engine) AttachDisk(ctx context.Context, ref string, a api.DiskAttachment) (api.Instance, error) {
	d, err := e.disks.disk(account.Of(ctx).Account, ref)
	if err != nil {
		return api.Instance{}, err
	}
	// Each by its own name, which may stand for another in another account.
	ctx = account.With(ctx, account.Caller{Account: d.Account})
	return e.changeEnded(ctx, a.Instance, func(spec *api.InstanceSpec) error {
		if spec.Isolation != api.IsolationAuto && spec.Isolation != d.Isolation {
			return api.FieldError("instance", "%s is of isolation %s, and disk %s is for %s", spec.Name, spec.Isolation, d.Name, d.Isolation)
		}
		return spec.AttachDisk(d.Name, a)
	})
}

// DetachDisk lets an instance that has ended start without a disk that it had.
func (e *Engine) DetachDisk(ctx context.Context, ref string, from api.DiskDetachment) (api.Instance, error) {
	name := ref // of a disk that may have been removed
	if d, err := e.disks.disk(account.Of(ctx).Account, ref); err == nil {
		name = d.Name
	}
	return e.changeEnded(ctx, from.Instance, func(spec *api.InstanceSpec) error {
		if !spec.DetachDisk(name) {
			return api.FieldError("instance", "%s has no disk %s", spec.Name, name)
		}
		return nil
	})
}

// changeEnded changes the spec of an instance that has ended.
func (e *Engine) changeEnded(ctx context.Context, ref string, fn func(*api.InstanceSpec) error) (api.Instance, error) {
	rec, l, err := e.lookup(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	unlock, err := e.births.Lock(ctx, rec.ID)
	if err != nil {
		return api.Instance{}, err
	}
	defer unlock()
	if l == nil {
		l = e.life(rec.ID) // it may have been started meanwhile
	}
	if rec, err = e.find(ctx, rec.ID); err != nil {
		return api.Instance{}, err
	}
	if l != nil {
		return api.Instance{}, api.Errorf(api.Conflict, "instance %s runs, and has the disks that it started with", rec.Spec.Name).
			WithNext("stop it first: `cis stop %s`", rec.Spec.Name)
	}
	if err := fn(&rec.Spec); err != nil {
		return api.Instance{}, err
	}
	err = e.cfg.Store.UpdateInstance(ctx, rec, true, func() {
		e.publish(api.WatchModified, rec.Instance)
	})
	return instanceOf(rec), err
}
