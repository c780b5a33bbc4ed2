package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/store"
)

// AddContainer records one more container of a live instance and has it started. It must
// be valid for the instance and have its defaults.
func (e *Engine) AddContainer(ctx context.Context, ref string, c api.EphemeralContainer) (api.Instance, error) {
	l, err := e.findLive(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	var refusal error
	err = l.update(true, func(in *store.Instance) {
		if refusal = takesContainer(in, c.Name); refusal != nil {
			return
		}
		in.Spec.EphemeralContainers = append(slices.Clip(in.Spec.EphemeralContainers), c)
		in.Status.EphemeralContainerStatuses = append(slices.Clip(in.Status.EphemeralContainerStatuses), waiting([]api.Container{c.Container})...)
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return api.Instance{}, err
	}
	rec, _ := l.snapshot()
	return rec.Instance, nil
}

// takesContainer tells why an instance cannot have one more container of that name.
func takesContainer(in *store.Instance, name string) error {
	if in.Status.Phase.Finished() || in.Status.Stopping {
		return api.Errorf(api.Conflict, "instance %s is ending", in.Spec.Name).WithNext("start it again with `cis start %s`", in.Spec.Name)
	}
	if _, absent := containerName(in.Spec, name); absent == nil {
		taken := api.Errorf(api.Conflict, "instance %s has a container %q already", in.Spec.Name, name)
		taken.Field = "name"
		return taken.WithNext("choose another name: a container that has ended keeps its own")
	}
	return nil
}

// addContainers starts what is added to the instance, and was not started yet, until ctx
// ends.
func (l *life) addContainers(ctx context.Context) {
	var adding sync.WaitGroup
	defer adding.Wait()
	begun := map[string]bool{}
	for {
		rec, changed := l.snapshot()
		for _, c := range rec.Spec.EphemeralContainers {
			if s := status(rec, c.Name); begun[c.Name] || s == nil || s.State.Waiting == nil {
				continue
			}
			begun[c.Name] = true
			adding.Go(func() { l.addContainer(ctx, c) })
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// addContainer starts a container, or tells why it cannot be started.
func (l *life) addContainer(ctx context.Context, c api.EphemeralContainer) {
	rec, _ := l.snapshot()
	err := l.fetch(ctx, rec, []api.Container{c.Container}, true)
	if err == nil {
		if err = l.give(ctx, c); err != nil {
			err = &startError{reason: api.ReasonCreateError, err: err}
		}
	}
	if err == nil || ctx.Err() != nil {
		return // a next start of cisd, or of the sandbox, goes on
	}
	l.event(api.EventWarning, c.Name, "Failed", err.Error())
	l.set(func(in *store.Instance) {
		in.Status.EphemeralContainerStatuses = endOne(in.Status.EphemeralContainerStatuses, c.Name, err)
	})
}

// endOne is the end of a container that never ran.
func endOne(statuses []api.ContainerStatus, name string, err error) []api.ContainerStatus {
	next := slices.Clone(statuses)
	for i := range next {
		if next[i].Name == name {
			next = slices.Replace(next, i, i+1, endAll(next[i:i+1], err, time.Now().UTC())...)
		}
	}
	return next
}

// give hands a container with its disks to the sandbox.
func (l *life) give(ctx context.Context, c api.EphemeralContainer) error {
	l.adding.Lock()
	defer l.adding.Unlock()
	rec, _ := l.snapshot()
	out, err := l.container(rec, c.Container)
	if err != nil {
		return err
	}
	out.Target = c.TargetContainerName
	disks := l.disks(&agentpb.Workload{Containers: []agentpb.Container{out}, EphemeralStorage: rec.Spec.EphemeralStorage})
	if err := l.sandbox.machine.Equip(ctx, l.sandbox.ID, disks); err != nil {
		return err
	}
	for {
		client, _, err := l.running("")
		if err == nil {
			err = client.Add(ctx, &out)
		}
		if code := api.CodeOf(err); err == nil || ctx.Err() != nil || code != api.Unavailable && code != api.Conflict {
			return err
		}
		if last, _ := l.snapshot(); concluding(last) {
			return fmt.Errorf("the instance has ended: %w", err)
		}
		select { // the connection is made anew
		case <-time.After(addAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// addAgain is when an agent that could not be reached is asked again.
const addAgain = 100 * time.Millisecond
