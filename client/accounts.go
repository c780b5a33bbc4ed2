package client

import (
	"context"
	"net/url"

	"cis/api"
)

const (
	accountsPath = "/v1/accounts"
	usersPath    = "/v1/users"
	keysPath     = "/v1/keys"
)

// WhoAmI tells who the caller is, and for which account the requests act.
func (c *Client) WhoAmI(ctx context.Context) (api.Identity, error) {
	return fetch[api.Identity](ctx, c, call{method: "GET", path: "/v1/whoami"})
}

// Accounts lists the accounts that the caller may act for.
func (c *Client) Accounts(ctx context.Context) ([]api.Account, error) {
	return all[api.Account](ctx, c, accountsPath)
}

// Account gets an account by name.
func (c *Client) Account(ctx context.Context, name string) (api.Account, error) {
	return one[api.Account](ctx, c, accountsPath, name)
}

// CreateAccount makes an account, with an admin and a default network.
func (c *Client) CreateAccount(ctx context.Context, a api.Account) (api.Account, error) {
	return fetch[api.Account](ctx, c, call{method: "POST", path: accountsPath, body: a})
}

// UpdateAccount changes an account, its quota, sizes and budget.
func (c *Client) UpdateAccount(ctx context.Context, name string, u api.AccountUpdate) (api.Account, error) {
	return fetch[api.Account](ctx, c, call{method: "PATCH", path: accountsPath + "/" + url.PathEscape(name), body: u})
}

// RemoveAccount removes an account that owns nothing.
func (c *Client) RemoveAccount(ctx context.Context, name string) error {
	return remove(ctx, c, accountsPath, name)
}

// Quota tells what an account may own, and what it does.
func (c *Client) Quota(ctx context.Context, name string) (api.QuotaStatus, error) {
	return fetch[api.QuotaStatus](ctx, c, call{method: "GET", path: accountsPath + "/" + url.PathEscape(name) + "/quota"})
}

// Users lists the users of the account.
func (c *Client) Users(ctx context.Context) ([]api.User, error) {
	return all[api.User](ctx, c, usersPath)
}

// CreateUser makes a user of the account.
func (c *Client) CreateUser(ctx context.Context, u api.User) (api.User, error) {
	return fetch[api.User](ctx, c, call{method: "POST", path: usersPath, body: u})
}

// UpdateUser changes a user.
func (c *Client) UpdateUser(ctx context.Context, name string, u api.UserUpdate) (api.User, error) {
	return fetch[api.User](ctx, c, call{method: "PATCH", path: usersPath + "/" + url.PathEscape(name), body: u})
}

// RemoveUser removes a user and the user's keys.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return remove(ctx, c, usersPath, name)
}

// Keys lists the keys of the account, without their secrets.
func (c *Client) Keys(ctx context.Context) ([]api.Key, error) {
	return all[api.Key](ctx, c, keysPath)
}

// CreateKey makes a key of a user. What it returns is the only place where its secret shows.
func (c *Client) CreateKey(ctx context.Context, k api.Key) (api.Key, error) {
	return fetch[api.Key](ctx, c, call{method: "POST", path: keysPath, body: k})
}

// UpdateKey changes a key: disables it, or lets it expire.
func (c *Client) UpdateKey(ctx context.Context, id string, u api.KeyUpdate) (api.Key, error) {
	return fetch[api.Key](ctx, c, call{method: "PATCH", path: keysPath + "/" + url.PathEscape(id), body: u})
}

// RotateKey makes a key in place of another. What it returns is the only place where the
// new secret shows.
func (c *Client) RotateKey(ctx context.Context, id string, r api.KeyRotation) (api.Key, error) {
	return fetch[api.Key](ctx, c, call{method: "POST", path: keysPath + "/" + url.PathEscape(id) + "/rotate", body: r})
}

// RemoveKey removes a key: from then on it proves nothing.
func (c *Client) RemoveKey(ctx context.Context, id string) error {
	return remove(ctx, c, keysPath, id)
}
