package client

import (
	"context"
	"net/url"

	"cis/api"
)

const auditPath = "/v1/audit"

func auditQuery(o api.AuditOptions) url.Values {
	q := url.Values{}
	setTime(q, "from", o.From)
	setTime(q, "to", o.To)
	set(q, "since", o.Since)
	set(q, "limit", o.Limit)
	return q
}

// Audit returns one page of what was done for the account, oldest first. The page after it
// begins with Since set to the last ID.
func (c *Client) Audit(ctx context.Context, opts api.AuditOptions) (api.List[api.AuditEntry], error) {
	return fetch[api.List[api.AuditEntry]](ctx, c, call{method: "GET", path: auditPath, query: auditQuery(opts)})
}

// WatchAudit calls fn for each entry after opts.Since, until fn fails or ctx ends. It
// always returns an error.
func (c *Client) WatchAudit(ctx context.Context, opts api.AuditOptions, fn func(api.AuditEntry) error) error {
	return watch(ctx, c, auditPath, auditQuery(opts), func(e api.WatchEvent[api.AuditEntry]) error { return fn(e.Object) })
}
