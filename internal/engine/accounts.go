package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// oneAccount refuses to make something for a caller who looks at all accounts.
func oneAccount(ctx context.Context) error {
	if account.Of(ctx).Account == "" {
		return api.FieldError("account", "must be one account, not all of them")
	}
	return nil
}

// Accounts lists the accounts that the caller may act for, by name.
func (e *Engine) Accounts(ctx context.Context) ([]api.Account, error) {
	i, c := e.identities, account.Of(ctx)
	i.mu.RLock()
	defer i.mu.RUnlock()
	all := []api.Account{}
	for a := range maps.Values(i.accounts) {
		if c.System || c.Owns(a.Name) {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b api.Account) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// Account returns one that the caller may act for.
func (e *Engine) Account(ctx context.Context, name string) (api.Account, error) {
	c := account.Of(ctx)
	a, ok := e.identities.account(name)
	if !ok || !c.System && !c.Owns(name) {
		return api.Account{}, api.Errorf(api.NotFound, "there is no account %q", name).WithNext("`cis account list` lists them")
	}
	return a, nil
}

// CreateAccount records an account with its admin, and makes its default network. It must
// be valid.
func (e *Engine) CreateAccount(ctx context.Context, a api.Account) (api.Account, error) {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return a, err
	}
	defer unlock()
	if _, taken := e.identities.account(a.Name); taken {
		return a, nameTaken("account", a.Name)
	}
	if err := e.checkBudget(a.Budget); err != nil {
		return a, err
	}
	a.CreatedAt, a.Revision = time.Now().UTC(), 1
	if err := e.putAccount(ctx, a); err != nil {
		return a, err
	}
	if err := e.furnish(ctx, a.Name); err != nil {
		return a, errors.Join(err, e.dissolve(context.WithoutCancel(ctx), a.Name))
	}
	return a, nil
}

// openAccounts makes what every account must have, as far as a crash or an older cisd left
// it out.
func (e *Engine) openAccounts(ctx context.Context) error {
	if _, ok := e.identities.account(account.Default); !ok {
		if err := e.putAccount(ctx, api.Account{Name: account.Default, CreatedAt: time.Now().UTC(), Revision: 1}); err != nil {
			return err
		}
	}
	accounts, err := e.Accounts(ctx)
	for _, a := range accounts {
		err = errors.Join(err, e.furnish(ctx, a.Name))
	}
	return err
}

// furnish makes what comes with an account, as far as it is missing: its admin and its
// default network.
func (e *Engine) furnish(ctx context.Context, name string) error {
	ctx = account.With(ctx, account.Caller{Account: name, Role: api.RoleAdmin, System: true})
	users, err := e.Users(ctx)
	if err == nil && len(users) == 0 {
		err = e.putUser(ctx, api.User{Account: name, Name: api.DefaultUser, Role: api.RoleAdmin, CreatedAt: time.Now().UTC()})
	}
	if err != nil || name == account.Default { // whose network has its range from the command line
		return err
	}
	unlock, err := e.lockNetworks(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return e.furnishNetwork(ctx, name)
}

// dissolve removes an account that owns nothing but what came with it.
func (e *Engine) dissolve(ctx context.Context, name string) error {
	ctx = account.With(ctx, account.Caller{Account: name, Role: api.RoleAdmin, System: true})
	err := e.removeDefaults(ctx)
	if err == nil {
		err = e.cfg.Store.DeleteAccount(ctx, name)
	}
	if err != nil {
		return err
	}
	i := e.identities
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.accounts, name)
	maps.DeleteFunc(i.users, func(t title, _ api.User) bool { return t.account == name })
	i.drop(func(k store.Key) bool { return k.Account == name })
	return nil
}

// putAccount records an account and takes it over; the identities are locked.
func (e *Engine) putAccount(ctx context.Context, a api.Account) error {
	if err := e.cfg.Store.PutAccount(ctx, a); err != nil {
		return err
	}
	i := e.identities
	i.mu.Lock()
	defer i.mu.Unlock()
	i.accounts[a.Name] = a
	return nil
}

// UpdateAccount changes an account. What it owns already stays, even beyond a new quota.
func (e *Engine) UpdateAccount(ctx context.Context, name string, u api.AccountUpdate) (api.Account, error) {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return api.Account{}, err
	}
	defer unlock()
	a, err := e.Account(ctx, name)
	if err == nil {
		err = outdated("account", a.Name, a.Revision, u.Revision)
	}
	if err == nil {
		err = e.checkBudget(u.Budget)
	}
	if err == nil && u.Disabled != nil && *u.Disabled && name == account.Default {
		err = api.FieldError("disabled", "is not for the account %s, which runs the service", name)
	}
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
		if a.Budget.Amount == "" {
			a.Budget = nil
		}
	}
	return a, e.putAccount(ctx, a)
}

// RemoveAccount removes an account that owns nothing but what came with it. What it has
// used and what was done for it stay on record.
func (e *Engine) RemoveAccount(ctx context.Context, name string) error {
	unlock, err := e.lockIdentities(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	a, err := e.Account(ctx, name)
	if err != nil {
		return err
	}
	if name == account.Default {
		return isDefault("account")
	}
	// From here on nothing is made for it.
	disabled := a
	disabled.Disabled = true
	if err := e.putAccount(ctx, disabled); err != nil {
		return err
	}
	owned, err := e.belongings(ctx, name)
	if err == nil && len(owned) > 0 {
		err = api.Errorf(api.Conflict, "account %s still owns %s", name, strings.Join(owned, ", ")).
			WithNext("remove that first: with --account %s, `cis ps -a`, `cis disk list` and the like show it", name)
	}
	if err == nil {
		err = e.dissolve(ctx, name)
	}
	if err != nil {
		return errors.Join(err, e.putAccount(context.WithoutCancel(ctx), a))
	}
	return nil
}

// belongings says what an account owns beside what came with it.
func (e *Engine) belongings(ctx context.Context, name string) (owned []string, err error) {
	counts, err := e.cfg.Store.CountInstances(ctx, name)
	if err != nil {
		return nil, err
	}
	secrets, err := e.cfg.Store.Secrets(ctx, name)
	if err != nil {
		return nil, err
	}
	instances := 0
	for _, n := range counts {
		instances += n
	}
	disks, snapshots := e.disks.counts(name)
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, have := range []struct {
		count int
		what  string
	}{
		{instances, "instances"}, {len(secrets), "secrets"}, {len(sorted(n.vpcs, name, vpcTitle)) - 1, "VPCs"},
		{len(sorted(n.subnets, name, subnetTitle)) - 1, "subnets"}, {len(sorted(n.groups, name, groupTitle)) - 1, "security groups"},
		{len(sorted(n.public, name, addressTitle)), "public addresses"}, {disks, "disks"}, {snapshots, "snapshots of disks"},
	} {
		if have.count > 0 {
			owned = append(owned, fmt.Sprintf("%s (%d)", have.what, have.count))
		}
	}
	return owned, nil
}

// admits refuses to start something for an account that is disabled, or whose instances
// may not be so.
func (e *Engine) admits(ctx context.Context, owner string, spec api.InstanceSpec) error {
	a, ok := e.identities.account(owner)
	if !ok || a.Disabled {
		return api.Errorf(api.Forbidden, "account %s is disabled", owner).WithNext("ask the operator of this server")
	}
	if err := e.withinBudget(ctx, a); err != nil {
		return err
	}
	return fitsSeries(a, spec)
}

// fitsSeries refuses a size that is none of the account's, if it has some.
func fitsSeries(a api.Account, spec api.InstanceSpec) error {
	if len(a.Sizes) == 0 {
		return nil
	}
	var allowed []string
	for _, s := range a.Sizes {
		if s.CPU == spec.CPU && s.Memory == spec.Memory {
			return nil
		}
		allowed = append(allowed, sizeText(s))
	}
	return api.FieldError("size", "%s cores with %s is not a size of account %s", spec.CPU, spec.Memory, a.Name).
		WithNext("choose one of %s", strings.Join(allowed, "; "))
}

func sizeText(s api.Size) string {
	text := fmt.Sprintf("%s cores with %s", s.CPU, s.Memory)
	if s.Name != "" {
		text = s.Name + " (" + text + ")"
	}
	return text
}
