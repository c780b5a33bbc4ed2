package engine

import (
	"context"

	"cis/api"
	"cis/internal/store"
)

// Update changes what an instance runs, and runs it: a live one is stopped first, with its
// grace period. Its name, size and addresses stay. The change must be valid for the
// instance and have its defaults. It is on record before anything stops.
func (e *Engine) Update(ctx context.Context, ref string, u api.InstanceUpdate) (api.Instance, error) {
	rec, l, err := e.lookup(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	spec := u.Apply(rec.Spec)
	if err := e.check(ctx, rec.Account, spec); err != nil {
		return api.Instance{}, err
	}
	change := func(r *store.Run) {
		r.Again, r.Next = true, &spec
		if u.RegistryAuth != nil {
			r.RegistryAuth = u.RegistryAuth
		}
	}
	if l != nil {
		in, again, err := l.runAgain(ctx, nil, func(r *store.Run) {
			change(r)
			r.StopMessage = "changed by request"
		})
		if err != nil || again {
			return in, err
		}
	}
	if err := e.change(ctx, rec.ID, func(in *store.Instance) { change(&in.Run) }); err != nil {
		return api.Instance{}, err
	}
	return e.Start(ctx, rec.ID)
}
