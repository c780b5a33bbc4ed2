// Package servertest has an engine that behaves, without containers: for tests of
// the server and of everything that speaks to it.
//
// Instances run from their creation until they are stopped, or until Finish. An
// exec runs one of a few programs that are part of this package (programs.go).
// It keeps everything in memory and is meant for tests alone.
package servertest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"cis/api"
	"cis/internal/meter"
	"cis/internal/server"
)

// Engine is the engine. Its zero value is not ready; use New.
type Engine struct {
	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every change
	revision  int64
	instances []*instance
	log       []api.WatchEvent[api.Instance]
	events    []api.Event
	images    map[string]api.Image
	secrets   map[string]api.Secret
	networks
	identities
	disks
	// files of all containers, by path.
	files map[string][]byte

	// Signals that Kill sent, and Graces that Stop, Restart and Remove were given.
	Signals []int
	Graces  []time.Duration
	// Pulls that were asked for.
	Pulls []api.ImagePull
	// Prices of what is used.
	Prices *meter.Prices
	// OnCreate, if set, runs before each create; its error refuses it.
	OnCreate func(ctx context.Context) error
}

var _ server.Engine = (*Engine)(nil)

type instance struct {
	api.Instance
	token  string
	spec   api.InstanceSpec // as asked for, to compare repeated requests
	output []server.LogEntry
}

// New makes an engine without instances.
func New() *Engine {
	return &Engine{
		changed: make(chan struct{}), networks: newNetworks(), identities: newIdentities(), disks: newDisks(),
		images: map[string]api.Image{}, secrets: map[string]api.Secret{}, files: map[string][]byte{},
	}
}

// change runs fn under the lock and wakes those who wait.
func (e *Engine) change(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fn()
	close(e.changed)
	e.changed = make(chan struct{})
}

// await runs fn under the lock at every change until it says that it is done.
func (e *Engine) await(ctx context.Context, fn func() (done bool)) error {
	for {
		e.mu.Lock()
		done, changed := fn(), e.changed
		e.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// find needs the lock.
func (e *Engine) find(ref string) (*instance, error) {
	for _, in := range e.instances {
		if in.Spec.Name == ref || strings.HasPrefix(in.ID, ref) {
			return in, nil
		}
	}
	return nil, api.Errorf(api.NotFound, "there is no instance %q", ref).WithNext("see 'cis ps -a'")
}

// record needs the lock; it notes a change of an instance.
func (e *Engine) record(kind string, in *instance) {
	e.revision++
	in.Revision = e.revision
	e.log = append(e.log, api.WatchEvent[api.Instance]{Type: kind, Object: in.Instance})
}

// Create implements server.Engine.
func (e *Engine) Create(ctx context.Context, req api.CreateInstance) (api.Instance, bool, error) {
	if e.OnCreate != nil {
		if err := e.OnCreate(ctx); err != nil {
			return api.Instance{}, false, err
		}
	}
	var result api.Instance
	var created bool
	var err error
	e.change(func() {
		var in *instance
		if in, created, err = e.create(req); err == nil {
			result = in.Instance
		}
	})
	return result, created, err
}

func (e *Engine) create(req api.CreateInstance) (*instance, bool, error) {
	for _, in := range e.instances {
		switch {
		case req.ClientToken != "" && in.token == req.ClientToken:
			if !reflect.DeepEqual(in.spec, req.InstanceSpec) {
				return nil, false, api.Errorf(api.Conflict, "the client token was used for another spec")
			}
			return in, false, nil
		case in.Spec.Name == req.Name:
			return nil, false, api.Errorf(api.Conflict, "there is an instance %q already", req.Name)
		}
	}
	n := len(e.instances) + 1
	in := &instance{token: req.ClientToken, spec: req.InstanceSpec}
	in.ID, in.Spec, in.CreatedAt = fmt.Sprintf("i-%012x", n), req.InstanceSpec, time.Now()
	if in.Spec.Name == "" {
		in.Spec.Name = fmt.Sprintf("inst-%d", n)
	}
	in.Status.Phase, in.Status.Ready = api.PhaseRunning, true
	e.instances = append(e.instances, in)
	e.record(api.WatchAdded, in)
	e.event(in, "Started", "container main runs")
	return in, true, nil
}

// Get implements server.Engine.
func (e *Engine) Get(_ context.Context, ref string) (api.Instance, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, err := e.find(ref)
	if err != nil {
		return api.Instance{}, err
	}
	return in.Instance, nil
}

// List implements server.Engine. The token of a page is the last ID of the one before.
func (e *Engine) List(_ context.Context, opts server.ListOptions) (api.List[api.Instance], error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := api.List[api.Instance]{Revision: e.revision}
	for _, in := range e.instances {
		if in.ID <= opts.Continue || !chosen(in.Instance, opts) {
			continue
		}
		if opts.Limit > 0 && len(list.Items) == opts.Limit {
			list.Continue = list.Items[len(list.Items)-1].ID
			break
		}
		list.Items = append(list.Items, in.Instance)
	}
	return list, nil
}

func chosen(in api.Instance, opts server.ListOptions) bool {
	selector, err := api.ParseSelector(opts.Selector)
	return err == nil && selector.Matches(in.Spec.Labels) &&
		(len(opts.Phases) == 0 || slices.Contains(opts.Phases, in.Status.Phase))
}

// Watch implements server.Engine.
func (e *Engine) Watch(ctx context.Context, opts server.ListOptions, since int64, fn func(api.WatchEvent[api.Instance]) error) error {
	next := 0
	for {
		var event api.WatchEvent[api.Instance]
		err := e.await(ctx, func() bool {
			for ; next < len(e.log); next++ {
				if event = e.log[next]; event.Object.Revision > since && chosen(event.Object, opts) {
					next++
					return true
				}
			}
			return false
		})
		if err == nil {
			err = fn(event)
		}
		if err != nil {
			return err
		}
	}
}

// Wait implements server.Engine.
func (e *Engine) Wait(ctx context.Context, ref string) (api.Instance, error) {
	var in *instance
	var result api.Instance
	var missing error
	err := e.await(ctx, func() bool {
		if in == nil {
			if in, missing = e.find(ref); missing != nil {
				return true
			}
		}
		result = in.Instance
		return in.Status.Phase.Finished()
	})
	return result, firstError(missing, err)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// update changes an instance and records it.
func (e *Engine) update(ref string, fn func(*instance) error) (api.Instance, error) {
	var result api.Instance
	var err error
	e.change(func() {
		var in *instance
		if in, err = e.find(ref); err != nil {
			return
		}
		if err = fn(in); err == nil {
			e.record(api.WatchModified, in)
			result = in.Instance
		}
	})
	return result, err
}

// Finish ends an instance's program with an exit code.
func (e *Engine) Finish(ref string, code int) error {
	_, err := e.update(ref, func(in *instance) error { in.finish(code); return nil })
	return err
}

func (in *instance) finish(code int) {
	in.Status.Phase, in.Status.ExitCode, in.Status.Ready = api.PhaseSucceeded, &code, false
	if code != 0 {
		in.Status.Phase = api.PhaseFailed
	}
}

// Stop implements server.Engine.
func (e *Engine) Stop(_ context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	return e.update(ref, func(in *instance) error {
		e.grace(grace)
		if !in.Status.Phase.Finished() {
			in.finish(137)
		}
		return nil
	})
}

// AddContainer implements server.Engine.
func (e *Engine) AddContainer(_ context.Context, ref string, c api.EphemeralContainer) (api.Instance, error) {
	return e.update(ref, func(in *instance) error {
		if in.Status.Phase.Finished() {
			return api.Errorf(api.Conflict, "instance %s does not run", in.Spec.Name)
		}
		in.Spec.EphemeralContainers = append(slices.Clip(in.Spec.EphemeralContainers), c)
		in.Status.EphemeralContainerStatuses = append(slices.Clip(in.Status.EphemeralContainerStatuses), api.ContainerStatus{
			Name: c.Name, Image: c.Image, State: api.ContainerState{Running: &api.StateRunning{StartedAt: time.Now()}}})
		return nil
	})
}

// Resize implements server.Engine.
func (e *Engine) Resize(_ context.Context, ref string, r api.InstanceResize, d api.Defaults) (api.Instance, error) {
	return e.update(ref, func(in *instance) error {
		if in.Status.Phase.Finished() {
			return api.Errorf(api.Conflict, "instance %s does not run", in.Spec.Name)
		}
		if err := r.Validate(in.Spec, d); err != nil {
			return err
		}
		in.Spec = r.Apply(in.Spec, d)
		in.Status.Resources = in.Spec.Resources()
		return nil
	})
}

// SetSecurityGroups implements server.Engine.
func (e *Engine) SetSecurityGroups(_ context.Context, ref string, g api.InstanceGroups) (api.Instance, error) {
	return e.update(ref, func(in *instance) error {
		in.Spec.Network.SecurityGroups = g.SecurityGroups
		return nil
	})
}

func (e *Engine) grace(grace *time.Duration) {
	if grace != nil {
		e.Graces = append(e.Graces, *grace)
	}
}

// Start implements server.Engine.
func (e *Engine) Start(_ context.Context, ref string) (api.Instance, error) {
	return e.update(ref, func(in *instance) error {
		if !in.Status.Phase.Finished() {
			return api.Errorf(api.Conflict, "%s runs already", in.Spec.Name)
		}
		in.Status.Phase, in.Status.ExitCode = api.PhaseRunning, nil
		return nil
	})
}

// Restart implements server.Engine.
func (e *Engine) Restart(ctx context.Context, ref string, grace *time.Duration) (api.Instance, error) {
	if _, err := e.Stop(ctx, ref, grace); err != nil {
		return api.Instance{}, err
	}
	return e.Start(ctx, ref)
}

// Remove implements server.Engine.
func (e *Engine) Remove(_ context.Context, ref string, force bool, grace *time.Duration) (err error) {
	e.change(func() {
		var in *instance
		if in, err = e.find(ref); err != nil {
			return
		}
		if !in.Status.Phase.Finished() && !force {
			err = api.Errorf(api.Conflict, "%s still runs", in.Spec.Name).WithNext("stop it first, or remove it with force")
			return
		}
		e.grace(grace)
		e.instances = slices.DeleteFunc(e.instances, func(other *instance) bool { return other == in })
		e.record(api.WatchDeleted, in)
	})
	return err
}

// Kill implements server.Engine.
func (e *Engine) Kill(_ context.Context, ref, _ string, signal int) error {
	_, err := e.update(ref, func(*instance) error { e.Signals = append(e.Signals, signal); return nil })
	return err
}

// Change changes an instance's spec.
func (e *Engine) Change(ref string, fn func(api.InstanceSpec) api.InstanceSpec) (api.Instance, error) {
	return e.update(ref, func(in *instance) error { in.Spec = fn(in.Spec); return nil })
}
