package engine

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// Users lists the account's users by name.
func (e *Engine) Users(ctx context.Context) ([]api.User, error) {
	i, c := e.identities, account.Of(ctx)
	i.mu.RLock()
	defer i.mu.RUnlock()
	mine := []api.User{}
	for u := range maps.Values(i.users) {
		if c.Owns(u.Account) {
			mine = append(mine, u)
		}
	}
	slices.SortFunc(mine, func(a, b api.User) int { return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Name, b.Name)) })
	return mine, nil
}

// User returns a user of the account by name.
func (e *Engine) User(ctx context.Context, name string) (api.User, error) {
	i := e.identities
	i.mu.RLock()
	defer i.mu.RUnlock()
	u, ok := i.users[title{account.Of(ctx).Account, name}]
	if !ok {
		return u, api.Errorf(api.NotFound, "there is no user %q", name).WithNext("`cis user list` lists them")
	}
	return u, nil
}

// CreateUser records a user. It must be valid and have its defaults.
func (e *Engine) CreateUser(ctx context.Context, u api.User) (api.User, error) {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return u, err
	}
	defer unlock()
	if err := oneAccount(ctx); err != nil {
		return u, err
	}
	if _, err := e.User(ctx, u.Name); err == nil {
		return u, nameTaken("user", u.Name)
	}
	u.Account, u.CreatedAt = account.Of(ctx).Account, time.Now().UTC()
	return u, e.putUser(ctx, u)
}

// putUser records a user and takes it over; the identities are locked.
func (e *Engine) putUser(ctx context.Context, u api.User) error {
	if err := e.cfg.Store.PutUser(ctx, u); err != nil {
		return err
	}
	i := e.identities
	i.mu.Lock()
	defer i.mu.Unlock()
	i.users[title{u.Account, u.Name}] = u
	return nil
}

// UpdateUser changes a user; an account keeps at least one admin.
func (e *Engine) UpdateUser(ctx context.Context, name string, c api.UserUpdate) (api.User, error) {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return api.User{}, err
	}
	defer unlock()
	before, err := e.User(ctx, name)
	if err != nil {
		return before, err
	}
	u := before
	if c.Role != "" {
		u.Role = c.Role
	}
	if c.Disabled != nil {
		u.Disabled = *c.Disabled
	}
	if !rules(u) {
		if err := e.othersRule(before); err != nil {
			return before, err
		}
	}
	return u, e.putUser(ctx, u)
}

// RemoveUser removes a user with the user's keys; an account keeps at least one admin.
func (e *Engine) RemoveUser(ctx context.Context, name string) error {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	u, err := e.User(ctx, name)
	if err == nil {
		err = e.othersRule(u)
	}
	if err == nil {
		err = e.cfg.Store.DeleteUser(ctx, u.Account, u.Name)
	}
	if err != nil {
		return err
	}
	i := e.identities
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.users, title{u.Account, u.Name})
	i.drop(func(k store.Key) bool { return k.Account == u.Account && k.User == u.Name })
	return nil
}

// rules tells whether a user can manage the account.
func rules(u api.User) bool { return u.Role == api.RoleAdmin && !u.Disabled }

// othersRule refuses to do without a user who is the last to manage the account.
func (e *Engine) othersRule(u api.User) error {
	i := e.identities
	i.mu.RLock()
	defer i.mu.RUnlock()
	if !rules(u) {
		return nil
	}
	for other := range maps.Values(i.users) {
		if other.Account == u.Account && other.Name != u.Name && rules(other) {
			return nil
		}
	}
	return api.Errorf(api.Conflict, "user %s is the only admin of account %s", u.Name, u.Account).
		WithNext("make another first: `cis user create NAME --role admin`")
}
