package engine

import (
	"context"
	"errors"
	"slices"

	"cis/api"
	"cis/internal/store"
)

// SetSecurityGroups puts an instance into these security groups and no others; it holds
// before this returns. The list must be valid. What fails is undone.
func (e *Engine) SetSecurityGroups(ctx context.Context, ref string, want api.InstanceGroups) (api.Instance, error) {
	rec, err := e.find(ctx, ref)
	if err != nil {
		return api.Instance{}, err
	}
	unlock, err := e.changes.Lock(ctx, "groups of "+rec.ID)
	if err != nil {
		return api.Instance{}, err
	}
	defer unlock()
	before, after, err := e.networks.regroup(rec.ID, rec.Account, want.SecurityGroups)
	if err != nil {
		return api.Instance{}, err
	}
	if err := e.keepGroups(ctx, rec.ID, after); err != nil {
		ctx := context.WithoutCancel(ctx)
		_, _, undo := e.networks.regroup(rec.ID, rec.Account, before)
		return api.Instance{}, errors.Join(err, undo, e.keepGroups(ctx, rec.ID, before))
	}
	return e.Get(ctx, rec.ID)
}

// keepGroups records the groups of an instance, by name, and puts it into them.
func (e *Engine) keepGroups(ctx context.Context, id string, names []string) error {
	err := e.change(ctx, id, func(in *store.Instance) { in.Spec.Network.SecurityGroups = slices.Clone(names) })
	if err != nil {
		return err
	}
	if err := e.refresh(ctx, id); err != nil {
		return err
	}
	e.networks.regrouped(id)
	return nil
}

// regroup makes groups an instance's, which stays in those of before until regrouped. It
// returns the names of both.
func (n *networks) regroup(id, owner string, refs []string) (before, after []string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[id]
	if m == nil {
		return nil, nil, noInstance(id)
	}
	ids, after, err := n.groupsNamed(owner, refs)
	if err != nil {
		return nil, nil, inField(err, "securityGroups")
	}
	for _, group := range m.groups {
		before = append(before, n.groups[group].Name)
	}
	m.leaving = slices.Concat(m.leaving, m.groups)
	m.groups = ids
	return before, after, nil
}

func (n *networks) regrouped(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[id]; m != nil {
		m.leaving = nil
	}
}
