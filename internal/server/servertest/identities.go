package servertest

import (
	"context"
	"fmt"
	"time"

	"cis/api"
	"cis/internal/account"
)

// identities keeps accounts, users and keys by name or ID, and what was done. Users and keys
// are those of all accounts.
type identities struct {
	accounts map[string]api.Account
	users    map[string]api.User
	keys     map[string]api.Key
	// Noted is what was put on record.
	Noted []api.AuditEntry
}

func newIdentities() identities {
	return identities{accounts: map[string]api.Account{account.Default: {Name: account.Default, Revision: 1}},
		users: map[string]api.User{api.DefaultUser: {Account: account.Default, Name: api.DefaultUser, Role: api.RoleAdmin}},
		keys:  map[string]api.Key{}}
}

// TokenCaller tells whose a token is that CreateKey made.
func (e *Engine) TokenCaller(_ context.Context, token string) (account.Caller, error) {
	return within(e, func() (account.Caller, error) {
		for _, k := range e.keys {
			if "token-of-"+k.ID == token && !k.Disabled {
				u := e.users[k.User]
				return account.Caller{Account: k.Account, User: u.Name, Key: k.ID, Role: u.Role,
					System: k.Account == account.Default && u.Role == api.RoleAdmin}, nil
			}
		}
		return account.Caller{}, api.Errorf(api.Unauthenticated, "the bearer token is not known here")
	})
}

// Accounts implements server.Engine.
func (e *Engine) Accounts(context.Context) ([]api.Account, error) {
	return within(e, func() ([]api.Account, error) { return byName(e.accounts), nil })
}

// Account implements server.Engine.
func (e *Engine) Account(_ context.Context, name string) (api.Account, error) {
	return within(e, func() (api.Account, error) { return get(e.accounts, "account", name) })
}

// CreateAccount implements server.Engine.
func (e *Engine) CreateAccount(_ context.Context, a api.Account) (api.Account, error) {
	a.Revision = 1
	return within(e, func() (api.Account, error) { return add(e.accounts, "account", a.Name, a) })
}

// UpdateAccount implements server.Engine.
func (e *Engine) UpdateAccount(_ context.Context, name string, u api.AccountUpdate) (api.Account, error) {
	return within(e, func() (api.Account, error) {
		a, err := get(e.accounts, "account", name)
		if err != nil {
			return a, err
		}
		a.Revision++
		if u.Labels != nil {
			a.Labels = u.Labels
		}
		if u.Disabled != nil {
			a.Disabled = *u.Disabled
		}
		if u.Quota != nil {
			a.Quota = *u.Quota
		}
		if u.Sizes != nil {
			a.Sizes = u.Sizes
		}
		if u.Budget != nil {
			a.Budget = u.Budget
		}
		e.accounts[name] = a
		return a, nil
	})
}

// RemoveAccount implements server.Engine.
func (e *Engine) RemoveAccount(_ context.Context, name string) error {
	return remove(e, e.accounts, "account", name)
}

// Quota implements server.Engine.
func (e *Engine) Quota(ctx context.Context, name string) (api.QuotaStatus, error) {
	a, err := e.Account(ctx, name)
	used := 1
	return api.QuotaStatus{Account: name, Limits: a.Quota, Used: api.Quota{Instances: &used}, Budget: a.Budget}, err
}

// Users implements server.Engine.
func (e *Engine) Users(context.Context) ([]api.User, error) {
	return within(e, func() ([]api.User, error) { return byName(e.users), nil })
}

// CreateUser implements server.Engine.
func (e *Engine) CreateUser(ctx context.Context, u api.User) (api.User, error) {
	u.Account = account.Of(ctx).Account
	return within(e, func() (api.User, error) { return add(e.users, "user", u.Name, u) })
}

// UpdateUser implements server.Engine.
func (e *Engine) UpdateUser(_ context.Context, name string, c api.UserUpdate) (api.User, error) {
	return within(e, func() (api.User, error) {
		u, err := get(e.users, "user", name)
		if err != nil {
			return u, err
		}
		if c.Role != "" {
			u.Role = c.Role
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		e.users[name] = u
		return u, nil
	})
}

// RemoveUser implements server.Engine.
func (e *Engine) RemoveUser(_ context.Context, name string) error {
	return remove(e, e.users, "user", name)
}

// Keys implements server.Engine.
func (e *Engine) Keys(context.Context) ([]api.Key, error) {
	return within(e, func() ([]api.Key, error) { return byName(e.keys), nil })
}

// CreateKey implements server.Engine.
func (e *Engine) CreateKey(ctx context.Context, k api.Key) (api.Key, error) {
	return within(e, func() (api.Key, error) {
		if _, err := get(e.users, "user", k.User); err != nil {
			return k, err
		}
		k.Account = account.Of(ctx).Account
		return e.newKey(k), nil
	})
}

// newKey keeps a key without its secret, and returns it with that; the lock is held.
func (e *Engine) newKey(k api.Key) api.Key {
	k.ID = fmt.Sprintf("key-%d", len(e.keys)+1)
	e.keys[k.ID] = k
	if k.Type == api.KeyToken {
		k.Token = "token-of-" + k.ID
	} else {
		k.SecretID, k.SecretKey = k.ID, "secret-of-"+k.ID
	}
	return k
}

// UpdateKey implements server.Engine.
func (e *Engine) UpdateKey(_ context.Context, id string, u api.KeyUpdate) (api.Key, error) {
	return within(e, func() (api.Key, error) {
		k, err := get(e.keys, "key", id)
		if err != nil {
			return k, err
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
		e.keys[id] = k
		return k, nil
	})
}

// RotateKey implements server.Engine.
func (e *Engine) RotateKey(_ context.Context, id string, r api.KeyRotation) (api.Key, error) {
	return within(e, func() (api.Key, error) {
		k, err := get(e.keys, "key", id)
		if err != nil {
			return k, err
		}
		next := e.newKey(k)
		end := time.Now().Add(time.Duration(r.OverlapSeconds) * time.Second)
		k.ExpiresAt = &end
		e.keys[id] = k
		return next, nil
	})
}

// RemoveKey implements server.Engine.
func (e *Engine) RemoveKey(_ context.Context, id string) error { return remove(e, e.keys, "key", id) }

// Note implements server.Engine.
func (e *Engine) Note(_ context.Context, entry api.AuditEntry) {
	e.change(func() {
		entry.ID = int64(len(e.Noted) + 1)
		e.Noted = append(e.Noted, entry)
	})
}

// Audit implements server.Engine.
func (e *Engine) Audit(_ context.Context, opts api.AuditOptions) (api.List[api.AuditEntry], error) {
	return within(e, func() (api.List[api.AuditEntry], error) {
		page := api.List[api.AuditEntry]{Items: []api.AuditEntry{}}
		for _, entry := range e.Noted {
			if entry.ID > opts.Since && !entry.Time.Before(opts.From) && (opts.To.IsZero() || entry.Time.Before(opts.To)) {
				page.Items = append(page.Items, entry)
			}
		}
		return page, nil
	})
}

// WatchAudit implements server.Engine.
func (e *Engine) WatchAudit(ctx context.Context, opts api.AuditOptions, fn func(api.AuditEntry) error) error {
	for {
		var next []api.AuditEntry
		err := e.await(ctx, func() bool {
			if int(opts.Since) < len(e.Noted) {
				next = append(next, e.Noted[opts.Since:]...)
			}
			return len(next) > 0
		})
		if err != nil {
			return err
		}
		for _, entry := range next {
			if opts.Since = entry.ID; entry.Time.Before(opts.From) {
				continue
			}
			if err := fn(entry); err != nil {
				return err
			}
		}
	}
}
