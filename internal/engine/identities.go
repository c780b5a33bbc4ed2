package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// identities holds the accounts, their users and keys, as they are on record.
type identities struct {
	mu       sync.RWMutex
	accounts map[string]api.Account
	users    map[title]api.User
	keys     map[string]store.Key
	tokens   map[[sha256.Size]byte]string // IDs of keys
}

func loadIdentities(ctx context.Context, s *store.Store) (*identities, error) {
	i := &identities{accounts: map[string]api.Account{}, users: map[title]api.User{}, keys: map[string]store.Key{}, tokens: map[[sha256.Size]byte]string{}}
	accounts, err1 := s.Accounts(ctx)
	users, err2 := s.Users(ctx)
	keys, err3 := s.Keys(ctx)
	for _, a := range accounts {
		i.accounts[a.Name] = a
	}
	for _, u := range users {
		i.users[title{u.Account, u.Name}] = u
	}
	for _, k := range keys {
		i.keep(k)
	}
	return i, errors.Join(err1, err2, err3)
}

// keep takes a key over; mu is held, or nobody else has i yet.
func (i *identities) keep(k store.Key) {
	i.keys[k.ID] = k
	if len(k.Sum) == sha256.Size {
		i.tokens[[sha256.Size]byte(k.Sum)] = k.ID
	}
}

// drop forgets keys; mu is held.
func (i *identities) drop(which func(store.Key) bool) {
	for id, k := range i.keys {
		if which(k) {
			delete(i.keys, id)
			if len(k.Sum) == sha256.Size {
				delete(i.tokens, [sha256.Size]byte(k.Sum))
			}
		}
	}
}

// account is one as it is now.
func (i *identities) account(name string) (api.Account, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	a, ok := i.accounts[name]
	return a, ok
}

// lockIdentities lets one change of accounts, users and keys at a time go on.
func (e *Engine) lockIdentities(ctx context.Context) (unlock func(), err error) {
	return e.changes.Lock(ctx, "identities")
}

// SigningKey returns the secret of a signing key, and who it stands for.
func (e *Engine) SigningKey(_ context.Context, id string) (secret string, c account.Caller, err error) {
	i := e.identities
	i.mu.RLock()
	k, ok := i.keys[id]
	i.mu.RUnlock()
	if !ok || k.Type != api.KeySigning {
		return "", c, api.Errorf(api.Unauthenticated, "there is no such key").WithNext("`cis key list` lists the keys of an account")
	}
	if c, err = e.callerOf(k); err != nil {
		return "", c, err
	}
	secret, err = e.cfg.Sealer.Open(k.ID, k.Secret)
	return secret, c, err
}

// TokenCaller tells whose a bearer token is.
func (e *Engine) TokenCaller(_ context.Context, token string) (account.Caller, error) {
	i := e.identities
	i.mu.RLock()
	k, ok := i.keys[i.tokens[account.Sum(token)]]
	i.mu.RUnlock()
	if !ok {
		return account.Caller{}, api.Errorf(api.Unauthenticated, "the bearer token is not known here").
			WithNext("make one: `cis key create --token`")
	}
	return e.callerOf(k)
}

// callerOf is who a key stands for, if it still does.
func (e *Engine) callerOf(k store.Key) (account.Caller, error) {
	now := time.Now().UTC()
	i := e.identities
	i.mu.RLock()
	a, u := i.accounts[k.Account], i.users[title{k.Account, k.User}]
	i.mu.RUnlock()
	refuse := func(why string) (account.Caller, error) {
		return account.Caller{}, api.Errorf(api.Unauthenticated, "%s", why).WithNext("ask the account's admin, or the operator of this server")
	}
	switch {
	case k.Disabled:
		return refuse("the key is disabled")
	case k.ExpiresAt != nil && !now.Before(*k.ExpiresAt):
		return refuse("the key has expired")
	case u.Name == "" || u.Disabled:
		return refuse("the key's user is disabled")
	case a.Name == "" || a.Disabled:
		return refuse("the key's account is disabled")
	}
	if k.LastUsedAt == nil || now.Sub(*k.LastUsedAt) >= time.Hour {
		e.wg.Go(func() { e.used(k.ID, now) })
	}
	return account.Caller{Account: k.Account, User: k.User, Key: k.ID, Role: u.Role,
		System: k.Account == account.Default && u.Role == api.RoleAdmin}, nil
}

// used remembers when a key was used last.
func (e *Engine) used(id string, at time.Time) {
	unlock, err := e.lockIdentities(e.ctx)
	if err != nil {
		return
	}
	defer unlock()
	i := e.identities
	i.mu.RLock()
	k, ok := i.keys[id]
	i.mu.RUnlock()
	if !ok || k.LastUsedAt != nil && at.Sub(*k.LastUsedAt) < time.Hour {
		return
	}
	k.LastUsedAt = &at
	if err := e.putKeys(e.ctx, k); err != nil {
		e.log.Warn("the last use of a key is not on record", "key", id, "error", err)
	}
}

// putKeys records keys and takes them over; the identities are locked.
func (e *Engine) putKeys(ctx context.Context, keys ...store.Key) error {
	if err := e.cfg.Store.PutKeys(ctx, keys...); err != nil {
		return err
	}
	i := e.identities
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, k := range keys {
		i.keep(k)
	}
	return nil
}
