package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/image"
	"cis/internal/store"
)

// Create records an instance and starts it. The spec must be valid and have its
// defaults. The second result is false when the client token named an instance
// that exists already.
func (e *Engine) Create(ctx context.Context, req api.CreateInstance) (api.Instance, bool, error) {
	arrived := time.Now()
	if err := oneAccount(ctx); err != nil {
		return api.Instance{}, false, err
	}
	hash := specHash(req)
	if req.ClientToken != "" {
		// One at a time, so that requests with the same token do not compete.
		e.tokens.Lock()
		defer e.tokens.Unlock()
		if old, err := e.repeated(ctx, req.ClientToken, hash); old != nil || err != nil {
			return instanceOf(old), false, err
		}
	}
	err := e.placeDisks(account.Of(ctx).Account, &req.InstanceSpec)
	if err == nil {
		err = e.check(ctx, account.Of(ctx).Account, req.InstanceSpec)
	}
	if err != nil {
		return api.Instance{}, false, err
	}
	id := newID("i-")
	unlock, err := e.births.Lock(ctx, id)
	if err != nil {
		return api.Instance{}, false, err
	}
	defer unlock()
	rec, err := e.admit(ctx, id, req, tokenOf(req, hash, arrived))
	if err != nil {
		return api.Instance{}, false, err
	}
	rec.Status.Timings.Admission = since(arrived) // the record has it with its next change
	e.begin(*rec, arrived, map[string]*image.Lease{}, nil)
	e.pool.nudge()
	return rec.Instance, true, nil
}

// admit takes what the instance needs of the host, its disks and the network, and records
// it.
func (e *Engine) admit(ctx context.Context, id string, req api.CreateInstance, token *store.Token) (*store.Instance, error) {
	need := e.demandOf(account.Of(ctx).Account, req.InstanceSpec)
	if err := e.admitDemand(need); err != nil {
		return nil, err
	}
	var status api.InstanceStatus
	err := e.takeDisks(ctx, account.Of(ctx).Account, id, req.InstanceSpec)
	if err == nil {
		err = e.join(ctx, id, &req.Network, &status)
	}
	if err == nil {
		var rec *store.Instance
		if rec, err = e.recordInstance(ctx, id, req, status, token); err == nil {
			e.networks.named(id, rec.Spec.Name)
			return rec, nil
		}
		e.part(ctx, id, status.Address)
	}
	e.disks.giveBack(diskUser{instance: id})
	e.capacity.release(need)
	return nil, err
}

// recordInstance writes the instance down, under the name asked for or a new one.
func (e *Engine) recordInstance(ctx context.Context, id string, req api.CreateInstance, status api.InstanceStatus, token *store.Token) (*store.Instance, error) {
	status.Phase, status.Emulated = api.PhasePending, e.emulated(ctx, req.Isolation)
	status.InitContainerStatuses, status.ContainerStatuses = waiting(req.InitContainers), waiting(req.Containers)
	madeUp := req.Name == ""
	for try := 0; ; try++ {
		spec := req.InstanceSpec
		if madeUp {
			spec.Name = newName()
		}
		if spec.Hostname == "" {
			spec.Hostname = spec.Name
		}
		rec := &store.Instance{
			Instance: api.Instance{ID: id, Account: account.Of(ctx).Account, Spec: spec, CreatedAt: time.Now().UTC(), Status: status},
			Run:      store.Run{Number: 1, RemoveAfter: req.RemoveAfter, RegistryAuth: req.RegistryAuth},
		}
		err := e.cfg.Store.CreateInstance(ctx, rec, token, func() {
			e.publish(api.WatchAdded, rec.Instance)
		})
		switch {
		case err == nil:
			return rec, nil
		case errors.Is(err, store.ErrNameTaken) && madeUp && try < 10:
			continue
		case errors.Is(err, store.ErrNameTaken):
			taken := api.Errorf(api.Conflict, "an instance named %q exists", spec.Name)
			taken.Field = "name"
			return nil, taken.WithNext("choose another name, or remove it first: `cis rm %s`", spec.Name)
		}
		return nil, err
	}
}

// check refuses what the record or the host rules out, before anything is made.
func (e *Engine) check(ctx context.Context, owner string, spec api.InstanceSpec) error {
	m, err := e.machine(spec.Isolation)
	if err != nil {
		return err
	}
	if err := e.admits(ctx, owner, spec); err != nil {
		return err
	}
	for i, name := range spec.ImagePullSecrets {
		if err := e.checkSecret(ctx, owner, fmt.Sprintf("imagePullSecrets[%d]", i), name, api.SecretRegistry); err != nil {
			return err
		}
	}
	for i, v := range spec.Volumes {
		if err := e.checkVolume(ctx, owner, i, v); err != nil {
			return err
		}
	}
	return checkNFS(m.Isolation(), spec)
}

// checkVolume refuses one that needs a secret that is missing.
func (e *Engine) checkVolume(ctx context.Context, owner string, i int, v api.Volume) error {
	sources, _ := v.Secrets()
	for j, s := range sources {
		field := fmt.Sprintf("volumes[%d].secret.secretName", i)
		if v.Projected != nil {
			field = fmt.Sprintf("volumes[%d].projected.sources[%d].secret.name", i, j)
		}
		if s.Optional {
			continue
		}
		if err := e.checkSecret(ctx, owner, field, s.Name, ""); err != nil {
			return err
		}
	}
	return nil
}

// admitDemand takes what an instance needs, if the host and the quota have it.
func (e *Engine) admitDemand(d demand) error {
	a, _ := e.identities.account(d.account)
	return e.capacity.admit(d, a.Quota)
}

// repeated finds the instance that a client token made already, if any.
func (e *Engine) repeated(ctx context.Context, token, hash string) (*store.Instance, error) {
	used, err := e.cfg.Store.Token(ctx, account.Of(ctx).Account, token, time.Now().Add(-tokenLife))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if used.Hash != hash {
		return nil, tokenConflict("this client token made instance %s with another spec", used.Instance)
	}
	old, err := e.cfg.Store.Instance(ctx, used.Instance)
	if errors.Is(err, store.ErrNotFound) {
		return nil, tokenConflict("this client token made instance %s, which has been removed", used.Instance)
	}
	return old, err
}

func tokenConflict(format, id string) *api.Error {
	e := api.Errorf(api.Conflict, format, id)
	e.Field = "clientToken"
	return e.WithNext("use a new token for a new instance")
}

// tokenOf is what is recorded of the request's client token, if it has one.
func tokenOf(req api.CreateInstance, hash string, now time.Time) *store.Token {
	if req.ClientToken == "" {
		return nil
	}
	return &store.Token{Token: req.ClientToken, Hash: hash, Created: now, Expires: now.Add(tokenLife)}
}

func instanceOf(rec *store.Instance) api.Instance {
	if rec == nil {
		return api.Instance{}
	}
	return rec.Instance
}

// specHash identifies what a create asks for.
func specHash(req api.CreateInstance) string {
	data, _ := json.Marshal(req.InstanceSpec)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// waiting are the statuses of containers of which nothing exists yet.
func waiting(containers []api.Container) (statuses []api.ContainerStatus) {
	for _, c := range containers {
		statuses = append(statuses, api.ContainerStatus{Name: c.Name, Image: c.Image,
			State: api.ContainerState{Waiting: &api.StateWaiting{Reason: api.ReasonContainerCreating}}})
	}
	return statuses
}
