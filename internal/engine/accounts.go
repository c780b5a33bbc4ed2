package engine

import (
	"context"

	"cis/api"
	"cis/internal/account"
)

// oneAccount refuses to make something for a caller who looks at all accounts.
func oneAccount(ctx context.Context) error {
	if account.Of(ctx).Account == "" {
		return api.FieldError("account", "must be one account, not all of them")
	}
	return nil
}
