package engine

import (
	"context"
	"fmt"
	"maps"
	"time"

	"cis/api"
	"cis/internal/machine"
	"cis/internal/store"
)

// Resize records another size of a live instance, which its sandbox is given soon after. The
// change is checked for the instance as it is then.
func (e *Engine) Resize(ctx context.Context, ref string, r api.InstanceResize, d api.Defaults) (api.Instance, error) {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	rec, _ := l.snapshot()
	if after := r.Apply(rec.Spec, d); after.CPU > rec.Spec.CPU || after.Memory > rec.Spec.Memory {
		if err := e.admits(ctx, rec.Account, after); err != nil {
			return api.Instance{}, err
		}
	}
	if err := l.recordSize(r, d); err != nil {
		return api.Instance{}, err
	}
	rec, _ = l.snapshot()
	return rec.Instance, nil
}

// recordSize takes what the instance needs after a resize, and writes that down.
func (l *life) recordSize(r api.InstanceResize, d api.Defaults) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.rec
	if next.Status.Phase.Finished() || next.Status.Stopping {
		return api.Errorf(api.Conflict, "instance %s is ending", next.Spec.Name).WithNext("resize it when it runs again: `cis start %s`", next.Spec.Name)
	}
	if err := r.Validate(next.Spec, d); err != nil {
		return err
	}
	next.Spec, next.Status.ResizeMessage = r.Apply(next.Spec, d), ""
	next.Run.Resize, next.Run.Restarts = true, restarts(&next, r)
	if err := l.withinSandbox(&next); err != nil {
		return err
	}
	a, _ := l.e.identities.account(next.Account)
	if err := fitsSeries(a, next.Spec); err != nil {
		return err
	}
	need := l.e.heldBy(&next)
	if err := l.e.capacity.exchange(l.held, need, a.Quota); err != nil {
		return err
	}
	l.held = need
	err := l.write(&next, true)
	if err != nil {
		l.count(l.e.heldBy(&l.rec))
	}
	return err
}

// restarts are the attempts that end by a resize and by those before it.
func restarts(in *store.Instance, r api.InstanceResize) map[string]int {
	all := maps.Clone(in.Run.Restarts)
	for _, c := range r.Containers {
		if s := status(*in, c.Name); c.Restart && s != nil && s.State.Running != nil {
			if all == nil {
				all = map[string]int{}
			}
			all[c.Name] = s.RestartCount
		}
	}
	return all
}

// withinSandbox refuses more than the sandbox can be given; l.mu is held.
func (l *life) withinSandbox(after *store.Instance) error {
	if after.Run.Sandbox == "" {
		return nil
	}
	m, err := l.e.machine(after.Status.Isolation)
	if err != nil {
		return err
	}
	cpu, memory := m.Most(l.made.CPU, l.made.Memory)
	const next = "run a new instance of that size, or use `--isolation gvisor`"
	if cpu != 0 && after.Spec.CPU > cpu {
		return api.FieldError("cpu", "must be at most %s cores, since a VM keeps the processors that it started with, not %s", cpu, after.Spec.CPU).WithNext(next)
	}
	if memory != 0 && after.Spec.Memory > memory {
		return api.FieldError("memory", "must be at most %s, since a VM keeps the memory that it started with, not %s", memory, after.Spec.Memory).WithNext(next)
	}
	return nil
}

// count has the capacity count what the instance holds now; l.mu is held.
func (l *life) count(now demand) {
	if now != l.held {
		l.e.capacity.release(l.held)
		l.e.capacity.take(now)
		l.held = now
	}
}

// letCapacityGo gives back what the instance holds, at its end.
func (l *life) letCapacityGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.e.capacity.release(l.held)
}

// resizeAgain is when a sandbox that could not be resized is tried again.
const resizeAgain = time.Second

// fit brings the sandbox to the size on record whenever that was changed, until ctx ends. It
// does so too where the size is what it was: a change before it may be half done.
func (l *life) fit(ctx context.Context) {
	for ctx.Err() == nil {
		rec, changed := l.snapshot()
		var again <-chan time.Time
		if rec.Run.Resize {
			err := l.follows(ctx, &rec)
			if err == nil {
				continue
			}
			l.resizeWaits(err)
			changed, again = nil, time.After(resizeAgain)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
		}
	}
}

// follows gives the sandbox what is on record, and restarts the containers that shall begin
// anew with it.
func (l *life) follows(ctx context.Context, rec *store.Instance) error {
	from, to := rec.Status.Resources, rec.Spec.Resources()
	if err := l.resizeSandbox(ctx, from, to); err != nil {
		return err
	}
	for name, attempt := range rec.Run.Restarts {
		client, _, err := l.running(name)
		if err == nil {
			err = client.Restart(ctx, name, attempt)
		}
		if err != nil {
			return fmt.Errorf("restart container %s: %w", name, err)
		}
	}
	return l.resized(from, to, rec.Run.Restarts)
}

// resizeSandbox changes the limits from outside to inside where there is more memory, else
// the other way round.
func (l *life) resizeSandbox(ctx context.Context, from, to api.ResourceList) error {
	l.adding.Lock() // what is done with a sandbox must not overlap
	defer l.adding.Unlock()
	m, id := l.sandbox.machine, l.sandbox.ID
	steps := []func() error{
		func() error { return m.Resize(ctx, id, to.CPU, to.Memory) },
		func() error { return l.resizeInside(ctx, m, to.Memory) },
	}
	if to.Memory < from.Memory {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// resizeInside tells the agent of a VM, which has limits of its own.
func (l *life) resizeInside(ctx context.Context, m machine.Machine, memory api.Bytes) error {
	if _, ok := m.(machine.VMs); !ok {
		return nil
	}
	client, _, err := l.running("")
	if err != nil {
		return err
	}
	return client.Resize(ctx, memory)
}

// resized records that the sandbox has another size, which it is charged for from now on.
func (l *life) resized(from, to api.ResourceList, restarted map[string]int) error {
	err := l.update(true, func(in *store.Instance) {
		in.Status.Resources, in.Status.ResizeMessage = to, ""
		if in.Spec.Resources() == to && maps.Equal(in.Run.Restarts, restarted) { // else there was one more request
			in.Run.Resize, in.Run.Restarts = false, nil
		}
	})
	if err == nil && from != to {
		l.event(api.EventNormal, "", "Resized", fmt.Sprintf("it has %s cores and %s of memory now, and had %s and %s", to.CPU, to.Memory, from.CPU, from.Memory))
	}
	return err
}

// resizeWaits shows why the sandbox cannot be resized yet.
func (l *life) resizeWaits(err error) {
	if rec, _ := l.snapshot(); l.e.ctx.Err() != nil || rec.Status.ResizeMessage == err.Error() {
		return
	}
	l.event(api.EventWarning, "", "ResizeWaits", err.Error())
	l.set(func(in *store.Instance) { in.Status.ResizeMessage = err.Error() })
}

// setResources says what the sandbox of an instance has that was recorded before there were
// resizes.
func setResources(in *store.Instance, made api.ResourceList) {
	if in.Status.Resources == (api.ResourceList{}) {
		in.Status.Resources = made
	}
}
