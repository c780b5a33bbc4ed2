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
	limit, err := pageLimit(opts.Limit)
	if err != nil {
		return page, err
	}
	entries, err := e.cfg.Store.Audit(ctx, account.Of(ctx).Account, opts, limit)
	page.Items = append(page.Items, entries...)
	return page, err
}

// WatchAudit calls fn for each entry after opts.Since, until fn fails or ctx ends.
func (e *Engine) WatchAudit(ctx context.Context, opts api.AuditOptions, fn func(api.AuditEntry) error) error {
	from, mine := e.audit.next(), account.Of(ctx)
	opts.Limit = maxPage
	return eachPaged(ctx, e.audit, from, func() (api.List[api.AuditEntry], error) { return e.Audit(ctx, opts) }, func(entry api.AuditEntry) error {
		if entry.ID <= opts.Since || !mine.Owns(entry.Account) {
			return nil
		}
		opts.Since = entry.ID
		return fn(entry)
	})
}
