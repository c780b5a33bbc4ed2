package client

import (
	"context"
	"net/url"

	"cis/api"
)

// Usage tells what instances have used, and what it costs.
func (c *Client) Usage(ctx context.Context, o api.UsageOptions) (api.Usage, error) {
	q := url.Values{}
	setTime(q, "from", o.From)
	setTime(q, "to", o.To)
	set(q, "by", o.By)
	set(q, "label", o.Label)
	set(q, "instance", o.Instance)
	return fetch[api.Usage](ctx, c, call{method: "GET", path: "/v1/usage", query: q})
}

// Price tells what an instance costs; what is zero has an instance's defaults.
func (c *Client) Price(ctx context.Context, o api.PriceOptions) (api.Price, error) {
	q := url.Values{}
	set(q, "cpu", o.CPU)
	set(q, "memory", o.Memory)
	set(q, "ephemeralStorage", o.EphemeralStorage)
	set(q, "isolation", o.Isolation)
	return fetch[api.Price](ctx, c, call{method: "GET", path: "/v1/price", query: q})
}
