package engine

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// maxKeys bounds the keys of one account.
const maxKeys = 1000

// Keys lists the account's keys, oldest first, without their secrets.
func (e *Engine) Keys(ctx context.Context) ([]api.Key, error) {
	mine := e.identities.keysOf(account.Of(ctx))
	slices.SortFunc(mine, func(a, b api.Key) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	return mine, nil
}

func (i *identities) keysOf(c account.Caller) []api.Key {
	i.mu.RLock()
	defer i.mu.RUnlock()
	mine := []api.Key{}
	for k := range maps.Values(i.keys) {
		if c.Owns(k.Account) {
			mine = append(mine, k.Key)
		}
	}
	return mine
}

func (i *identities) key(c account.Caller, id string) (store.Key, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	k, ok := i.keys[id]
	if !ok || !c.Owns(k.Account) {
		return k, api.Errorf(api.NotFound, "there is no key %q", id).WithNext("`cis key list` lists them")
	}
	return k, nil
}

// CreateKey makes a key of a user. It must be valid and have its defaults. The result
// alone has the secret.
func (e *Engine) CreateKey(ctx context.Context, k api.Key) (api.Key, error) {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return k, err
	}
	defer unlock()
	if err := oneAccount(ctx); err != nil {
		return k, err
	}
	caller := account.Of(ctx)
	if _, err := e.User(ctx, k.User); err != nil {
		return k, inField(err, "user")
	}
	if n := len(e.identities.keysOf(caller)); n >= maxKeys {
		return k, api.Errorf(api.Exhausted, "account %s has %d keys, which is the most", caller.Account, n).WithNext("remove some: `cis key rm ID`")
	}
	k.Account, k.CreatedAt = caller.Account, time.Now().UTC()
	made, rec := e.newKey(k)
	return made, e.putKeys(ctx, rec)
}

// newKey gives a key its secret: as it is shown once, and as it is recorded.
func (e *Engine) newKey(k api.Key) (shown api.Key, rec store.Key) {
	if k.Type == api.KeyToken {
		k.ID = newID("token-")
		rec = store.Key{Key: k}
		k.Token = account.Random("cis_", 40)
		sum := account.Sum(k.Token)
		rec.Sum = sum[:]
		return k, rec
	}
	k.ID = account.Random("AKID", 32)
	rec = store.Key{Key: k}
	k.SecretID, k.SecretKey = k.ID, account.Random("", 32)
	rec.Secret = e.cfg.Sealer.Seal(k.ID, k.SecretKey)
	return k, rec
}

// UpdateKey changes a key.
func (e *Engine) UpdateKey(ctx context.Context, id string, u api.KeyUpdate) (api.Key, error) {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return api.Key{}, err
	}
	defer unlock()
	k, err := e.identities.key(account.Of(ctx), id)
	if err != nil {
		return k.Key, err
	}
	if u.Description != nil {
		k.Description = *u.Description
	}
	if u.Disabled != nil {
		k.Disabled = *u.Disabled
	}
	if u.ExpiresAt != nil {
		k.ExpiresAt = u.ExpiresAt
	}
	return k.Key, e.putKeys(ctx, k)
}

// RotateKey makes a key in place of another, which still works for a while.
func (e *Engine) RotateKey(ctx context.Context, id string, r api.KeyRotation) (api.Key, error) {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return api.Key{}, err
	}
	defer unlock()
	old, err := e.identities.key(account.Of(ctx), id)
	if err != nil {
		return old.Key, err
	}
	now := time.Now().UTC()
	end := now.Add(time.Duration(r.OverlapSeconds) * time.Second)
	if old.ExpiresAt != nil && old.ExpiresAt.Before(now) {
		return old.Key, api.Errorf(api.Conflict, "key %s has expired", id).WithNext("make a new one: `cis key create --user %s`", old.User)
	}
	next := old.Key
	next.CreatedAt, next.LastUsedAt = now, nil
	made, rec := e.newKey(next)
	if old.ExpiresAt == nil || end.Before(*old.ExpiresAt) {
		old.ExpiresAt = &end
	}
	return made, e.putKeys(ctx, rec, old)
}

// RemoveKey removes a key: from then on it proves nothing.
func (e *Engine) RemoveKey(ctx context.Context, id string) error {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	k, err := e.identities.key(account.Of(ctx), id)
	if err != nil {
		return err
	}
	if err := e.cfg.Store.DeleteKey(ctx, k.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	i := e.identities
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop(func(other store.Key) bool { return other.ID == k.ID })
	return nil
}
