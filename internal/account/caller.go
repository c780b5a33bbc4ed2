// Package account tells who makes a request and what they may do: the caller that a
// request's context carries, roles, and the secrets that prove a caller.
//
// It keeps nothing on record itself and speaks no protocol.
package account

import (
	"context"

	"cis/api"
)

// Default is the account that is always there. Who has the socket acts for it, and its
// admins run the service: they manage the other accounts.
const Default = "default"

// Caller is who makes a request, once that is proven.
type Caller struct {
	// Account is the name of the account that the request acts for. Empty: all of them, as
	// only a System caller may, to look.
	Account string
	// User is the name of the account's user.
	User string
	// Key is the ID of the key or token that proved it; empty for the socket.
	Key  string
	Role api.Role
	// System: the caller runs the service, and may act for every account.
	System bool
}

// Owns tells whether what an account owns is for the caller to see.
func (c Caller) Owns(account string) bool { return c.Account == account || c.Account == "" }

type callerKey struct{}

// With returns a context in which requests are made by the caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// Of is who makes the requests of a context: a viewer of the default account where it says
// nothing, so that what was forgotten shows as little as possible.
func Of(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return Caller{Account: Default, Role: api.RoleViewer}
}
