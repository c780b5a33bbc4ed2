package servertest

import (
	"context"
	"time"

	"cis/api"
	"cis/internal/meter"
)

// Usage implements server.Engine: an instance runs from its creation to its end.
func (e *Engine) Usage(_ context.Context, opts api.UsageOptions) (api.Usage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sum := meter.NewSum(opts, e.Prices, time.Now())
	for _, in := range e.instances {
		if opts.Instance != "" && opts.Instance != in.ID && opts.Instance != in.Spec.Name {
			continue
		}
		i := meter.Interval{Instance: in.ID, Name: in.Spec.Name, Labels: in.Spec.Labels, Isolation: in.Spec.Isolation,
			CPU: in.Spec.CPU, Memory: in.Spec.Memory, Storage: in.Spec.EphemeralStorage, Start: in.CreatedAt}
		if in.Status.FinishedAt != nil {
			i.End = *in.Status.FinishedAt
		}
		sum.Add(i)
	}
	return sum.Result(), nil
}

// Price implements server.Engine.
func (e *Engine) Price(_ context.Context, opts api.PriceOptions) (api.Price, error) {
	if opts.Isolation == api.IsolationAuto {
		opts.Isolation = api.IsolationGVisor
	}
	return e.Prices.Price(opts), nil
}
