package engine

import (
	"context"

	"cis/api"
	"cis/internal/account"
)

// Note puts what was done on record. What cannot be written is logged: it is done already.
func (e *Engine) Note(ctx context.Context, entry api.AuditEntry) {
	if err := e.cfg.Store.AddAudit(context.WithoutCancel(ctx), entry, e.audit.publish); err != nil {
		e.log.Error("what was done is not on record", "entry", entry, "error", err)
	}
}

// Audit returns what was done for the account, oldest first.
func (e *Engine) Audit(ctx context.Context, opts api.AuditOptions) (api.List[api.AuditEntry], error) {
	page := api.List[api.AuditEntry]{Items: []api.AuditEntry{}}
	limit := opts.Limit
	if limit == 0 {
		limit = defaultPage
	}
	if limit < 1 || limit > maxPage {
		return page, api.FieldError("limit", "must be 1 to %d", maxPage)
	}
	entries, err := e.cfg.Store.Audit(ctx, account.Of(ctx).Account, opts, limit)
	page.Items = append(page.Items, entries...)
	return page, err
}

// WatchAudit calls fn for each entry after opts.Since, until fn fails or ctx ends.
func (e *Engine) WatchAudit(ctx context.Context, opts api.AuditOptions, fn func(api.AuditEntry) error) error {
	from, mine := e.audit.next(), account.Of(ctx)
	opts.Limit = maxPage
	for {
		page, err := e.Audit(ctx, opts)
		if err != nil {
			return err
		}
		for _, entry := range page.Items {
			opts.Since = entry.ID
			if err := fn(entry); err != nil {
				return err
			}
		}
		if len(page.Items) < maxPage {
			break
		}
	}
	return e.audit.follow(ctx, from, func(entry api.AuditEntry) error {
		if entry.ID <= opts.Since || !mine.Owns(entry.Account) {
			return nil
		}
		return fn(entry)
	})
}
