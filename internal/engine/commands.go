package engine

import (
	"context"
	"errors"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/image"
	"cis/internal/store"
)

// find reads an instance of the caller's account by name, ID or beginning of an ID.
func (e *Engine) find(ctx context.Context, ref string) (*store.Instance, error) {
	rec, err := e.cfg.Store.FindInstance(ctx, account.Of(ctx).Account, ref)
	if errors.Is(err, store.ErrNotFound) {
		err = noInstance(ref)
	}
	return rec, err
}

func noInstance(ref string) error {
	return api.Errorf(api.NotFound, "there is no instance %q", ref).WithNext("`cis ps -a` lists them")
}

// lookup finds an instance and, if it has not ended, its life. One whose programs
// have all ended is waited for: its end is being concluded.
func (e *Engine) lookup(ctx context.Context, ref string) (*store.Instance, *life, error) {
	rec, err := e.find(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	rec, l, err := e.pair(ctx, rec.ID)
	if err != nil || l == nil {
		return rec, nil, err
	}
	for {
		now, changed := l.snapshot()
		if !concluding(now) {
			return &now, l, nil
		}
		select {
		case <-changed:
		case <-l.done:
			now, _ := l.snapshot()
			return &now, nil, nil
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// pair reads an instance and its life as they belong together.
func (e *Engine) pair(ctx context.Context, id string) (*store.Instance, *life, error) {
	unlock, err := e.births.Lock(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	l := e.life(id) // first: a life ends after its last change of the record
	rec, err := e.cfg.Store.Instance(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = noInstance(id)
	}
	return rec, l, err
}

// change changes the record of an instance, whether it lives or has ended. One that is
// on no record is no error.
func (e *Engine) change(ctx context.Context, id string, fn func(*store.Instance)) error {
	unlock, err := e.births.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if l := e.life(id); l != nil {
		err = l.update(true, fn)
	} else {
		var rec *store.Instance
		if rec, err = e.cfg.Store.Instance(ctx, id); err == nil {
			fn(rec)
			err = e.cfg.Store.UpdateInstance(ctx, rec, true, func() {
				e.publish(api.WatchModified, rec.Instance)
			})
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// concluding tells whether nothing of the instance runs or will run again.
func concluding(rec store.Instance) bool {
	if rec.Status.Phase.Finished() {
		return true
	}
	for _, s := range rec.Status.ContainerStatuses {
		if s.State.Terminated == nil {
			return false
		}
	}
	return true
}

// findLive finds an instance that has not ended.
func (e *Engine) findLive(ctx context.Context, ref string) (*life, error) {
	rec, l, err := e.lookup(ctx, ref)
	if err != nil || l != nil {
		return l, err
	}
	return nil, api.Errorf(api.Conflict, "instance %s does not run: it has %s", rec.Spec.Name, ended(rec.Status.Phase)).
		WithNext("start it with `cis start %s`", rec.Spec.Name)
}

func ended(p api.Phase) string {
	if p == api.PhaseSucceeded {
		return "succeeded"
	}
	return "failed"
}

// Get returns an instance.
func (e *Engine) Get(ctx context.Context, ref string) (api.Instance, error) {
	rec, err := e.find(ctx, ref)
	return instanceOf(rec), err
}

// Wait returns the instance once it has ended, or as it was last if it is
// removed meanwhile.
func (e *Engine) Wait(ctx context.Context, ref string) (api.Instance, error) {
	if l := e.gone(ctx, ref); l != nil {
		return l.waitEnd(ctx)
	}
	rec, l, err := e.lookup(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	if l == nil {
		return rec.Instance, nil
	}
	return l.waitEnd(ctx)
}

// waitEnd waits until the record says that the instance has ended.
func (l *life) waitEnd(ctx context.Context) (api.Instance, error) {
	for {
		rec, changed := l.snapshot()
		if rec.Status.Phase.Finished() && !rec.Run.Again {
			return rec.Instance, nil
		}
		select {
		case <-changed:
		case <-l.done:
			rec, _ := l.snapshot()
			return rec.Instance, l.e.ctx.Err()
		case <-ctx.Done():
			return rec.Instance, context.Cause(ctx)
		}
	}
}

// Stop ends the programs and the sandbox, and returns when both are gone.
func (e *Engine) Stop(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	rec, l, err := e.lookup(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	if l == nil {
		return rec.Instance, nil
	}
	err = l.requestStop(grace, func(r *store.Run) {
		r.Again, r.StopReason, r.StopMessage = false, api.ReasonStopped, "stopped by request"
	})
	if err != nil {
		return api.Instance{}, err
	}
	for {
		now, changed := l.snapshot()
		if now.Run.Number > rec.Run.Number {
			return now.Instance, nil // a restart came in between
		}
		select {
		case <-changed:
		case <-l.done:
			return l.waitEnd(ctx)
		case <-ctx.Done():
			return api.Instance{}, context.Cause(ctx)
		}
	}
}

// requestStop records that the instance shall end, durably, and sets it going.
// One that has just ended by itself stays as it is.
func (l *life) requestStop(grace *time.Duration, why func(*store.Run)) error {
	ended := false
	err := l.update(true, func(in *store.Instance) {
		if ended = in.Status.Phase.Finished(); ended {
			return
		}
		l.closeStop()
		wait := time.Duration(*in.Spec.TerminationGracePeriodSeconds) * time.Second
		if grace != nil {
			wait = *grace
		}
		by := time.Now().Add(wait)
		if in.Run.StopBy == nil || by.Before(*in.Run.StopBy) {
			in.Run.StopBy = &by
		}
		in.Run.Stop, in.Status.Stopping = true, true
		why(&in.Run)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // it has ended and is removed
	}
	if err != nil || ended {
		return err
	}
	l.askStop()
	return nil
}

// closeStop lets whoever waits know of the stop; l.mu is held. A stop that then
// cannot be recorded is still carried out: the caller is told, and may ask again.
func (l *life) closeStop() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
}

// Start runs an ended instance again, with the address it had.
func (e *Engine) Start(ctx context.Context, ref string) (api.Instance, error) {
	rec, l, err := e.lookup(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	if l != nil {
		return rec.Instance, nil
	}
	unlock, err := e.births.Lock(ctx, rec.ID)
	if err != nil {
		return api.Instance{}, err
	}
	defer unlock()
	if l := e.life(rec.ID); l != nil {
		now, _ := l.snapshot() // another start was faster
		return now.Instance, nil
	}
	if rec, err = e.find(ctx, rec.ID); err != nil {
		return api.Instance{}, err
	}
	arrived := time.Now()
	if err = e.placeDisks(rec.Account, &rec.Spec); err == nil {
		err = e.check(ctx, rec.Account, rec.Spec)
	}
	if err != nil {
		return api.Instance{}, err
	}
	need := e.demandOf(rec.Account, rec.Spec)
	if err := e.admitDemand(need); err != nil {
		return api.Instance{}, err
	}
	var ports []api.PublishedPort
	if err = e.takeDisks(ctx, rec.Account, rec.ID, rec.Spec); err == nil {
		ports, err = e.networks.reclaimPorts(rec.ID, rec.Spec.Network.Ports, rec.Status.Ports)
	}
	if err != nil {
		e.disks.giveBack(diskUser{instance: rec.ID})
		e.capacity.release(need)
		return api.Instance{}, err
	}
	reset(rec)
	rec.Status.Ports = ports
	err = e.cfg.Store.UpdateInstance(ctx, rec, true, func() {
		e.publish(api.WatchModified, rec.Instance)
	})
	if err != nil {
		e.disks.giveBack(diskUser{instance: rec.ID})
		e.capacity.release(need)
		e.networks.freePorts(rec.ID)
		return api.Instance{}, err
	}
	rec.Status.Timings.Admission = since(arrived)
	e.begin(*rec, arrived, map[string]*image.Lease{}, nil)
	return rec.Instance, nil
}

// Restart stops an instance and starts it again; one that has ended it starts.
func (e *Engine) Restart(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	l, err := e.findLive(ctx, ref)
	if api.CodeOf(err) == api.Conflict {
		return e.Start(ctx, ref)
	}
	if err != nil {
		return api.Instance{}, err
	}
	in, again, err := l.runAgain(ctx, grace, func(r *store.Run) { r.StopMessage = "restarted by request" })
	if err != nil || again {
		return in, err
	}
	return e.Start(ctx, l.id)
}

// runAgain stops a live instance and waits for its next run; the second result is false
// if it ended for good instead.
func (l *life) runAgain(ctx context.Context, grace *time.Duration, why func(*store.Run)) (api.Instance, bool, error) {
	before, _ := l.snapshot()
	err := l.requestStop(grace, func(r *store.Run) {
		r.Again, r.StopReason = true, api.ReasonStopped
		why(r)
	})
	if err != nil {
		return api.Instance{}, false, err
	}
	for {
		rec, changed := l.snapshot()
		if rec.Run.Number > before.Run.Number {
			return rec.Instance, true, nil
		}
		select {
		case <-changed:
		case <-l.done:
			return rec.Instance, false, nil
		case <-ctx.Done():
			return rec.Instance, false, context.Cause(ctx)
		}
	}
}

// Remove deletes the record and the logs of an ended instance. With force it
// first ends a live one.
func (e *Engine) Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error {
	rec, l, err := e.lookup(ctx, ref)
	if err != nil {
		return err
	}
	if l == nil {
		return e.forget(ctx, *rec)
	}
	if !force {
		return api.Errorf(api.Conflict, "instance %s runs", rec.Spec.Name).
			WithNext("stop it first, or use `cis rm -f %s`", rec.Spec.Name)
	}
	if grace == nil {
		grace = new(time.Duration)
	}
	err = l.requestStop(grace, func(r *store.Run) {
		r.Remove, r.Again, r.StopReason, r.StopMessage = true, false, api.ReasonStopped, "removed by request"
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if rec, err = e.cfg.Store.Instance(ctx, rec.ID); errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// It ended by itself just before the request.
	return e.forget(ctx, *rec)
}

// Kill sends a signal to a container's program (empty: the first container's).
func (e *Engine) Kill(ctx context.Context, ref, container string, signal int) error {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return err
	}
	client, name, err := l.reach(ctx, container)
	if err != nil {
		return err
	}
	return client.Signal(ctx, name, signal)
}
