package client_test

import (
	"errors"
	"testing"
	"time"

	"cis/api"
	"cis/client"
)

// as is a client that acts for another account.
func (w *world) as(t *testing.T, account string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Host: "unix://" + w.socket, Account: account})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAccounts(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	a, err := w.CreateAccount(ctx, api.Account{Name: "shop", Quota: api.Quota{Instances: new(2)}, Sizes: []api.Size{{Name: "s", CPU: 500, Memory: api.GiB}}})
	if err != nil || a.Revision != 1 || *a.Quota.Instances != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	_, err = w.CreateAccount(ctx, api.Account{Name: "shop"})
	wantCode(t, err, api.Conflict)
	// An empty list of sizes is one, and arrives.
	if a, err = w.UpdateAccount(ctx, "shop", api.AccountUpdate{Disabled: new(true), Sizes: []api.Size{}}); err != nil || !a.Disabled || len(a.Sizes) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err = w.Account(ctx, "shop"); err != nil || a.Revision != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	if all, err := w.Accounts(ctx); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if q, err := w.Quota(ctx, "shop"); err != nil || q.Account != "shop" || *q.Limits.Instances != 2 {
		t.Errorf("%+v, %v", q, err)
	}
	for account, want := range map[string]string{"": "default", "shop": "shop", client.AllAccounts: ""} {
		if me, err := w.as(t, account).WhoAmI(ctx); err != nil || me.Account != want || me.User != "root" || !me.System {
			t.Errorf("for %q: %+v, %v", account, me, err)
		}
	}
	_, err = w.as(t, "none").WhoAmI(ctx)
	wantCode(t, err, api.NotFound)
	if err := w.RemoveAccount(ctx, "shop"); err != nil {
		t.Error(err)
	}
	wantCode(t, w.RemoveAccount(ctx, "shop"), api.NotFound)
}

func TestUsersAndKeys(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	if u, err := w.CreateUser(ctx, api.User{Name: "ann"}); err != nil || u.Role != api.RoleOperator || u.Account != "default" {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := w.UpdateUser(ctx, "ann", api.UserUpdate{Role: api.RoleViewer}); err != nil || u.Role != api.RoleViewer {
		t.Errorf("%+v, %v", u, err)
	}
	if all, err := w.Users(ctx); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	k, err := w.CreateKey(ctx, api.Key{User: "ann"})
	if err != nil || k.SecretID != k.ID || k.SecretKey == "" {
		t.Errorf("%+v, %v", k, err)
	}
	if token, err := w.CreateKey(ctx, api.Key{Type: api.KeyToken}); err != nil || token.Token == "" || token.User != api.DefaultUser {
		t.Errorf("%+v, %v", token, err)
	}
	_, err = w.CreateKey(ctx, api.Key{User: "nobody"})
	wantCode(t, err, api.NotFound)
	if changed, err := w.UpdateKey(ctx, k.ID, api.KeyUpdate{Disabled: new(true)}); err != nil || !changed.Disabled || changed.SecretKey != "" {
		t.Errorf("%+v, %v", changed, err)
	}
	if next, err := w.RotateKey(ctx, k.ID, api.KeyRotation{OverlapSeconds: 60}); err != nil || next.ID == k.ID || next.SecretKey == "" {
		t.Errorf("%+v, %v", next, err)
	}
	if all, err := w.Keys(ctx); err != nil || len(all) != 3 || all[0].ExpiresAt == nil {
		t.Errorf("%+v, %v", all, err)
	}
	if err := errors.Join(w.RemoveKey(ctx, k.ID), w.RemoveUser(ctx, "ann")); err != nil {
		t.Error(err)
	}
	wantCode(t, w.RemoveKey(ctx, k.ID), api.NotFound)
}

func TestAudit(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	for _, name := range []string{"ann", "bob"} {
		if _, err := w.CreateUser(ctx, api.User{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := w.Audit(ctx, api.AuditOptions{Since: 1, From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour), Limit: 10})
	if err != nil || len(page.Items) == 0 || page.Items[0].ID != 2 || page.Items[0].Object != "users/bob" {
		t.Errorf("%+v, %v", page, err)
	}
	enough := errors.New("enough")
	var seen []string
	err = w.WatchAudit(ctx, api.AuditOptions{}, func(e api.AuditEntry) error {
		if seen = append(seen, e.Object); len(seen) == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen[0] != "users/ann" || seen[1] != "users/bob" {
		t.Errorf("%q, %v", seen, err)
	}
}
