package client_test

import (
	"testing"
	"time"

	"cis/api"
	"cis/internal/meter"
)

func TestUsageAndPrice(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	var err error
	if w.engine.Prices, err = meter.ParsePrices([]byte("currency: EUR\nvcpuHour: 0.5")); err != nil {
		t.Fatal(err)
	}
	p, err := w.Price(ctx, api.PriceOptions{CPU: 1500, Memory: api.GiB, EphemeralStorage: api.GiB, Isolation: api.IsolationVM})
	if err != nil || p.PerHour != "0.75" || p.Memory != api.GiB || p.Isolation != api.IsolationVM {
		t.Errorf("%+v, %v", p, err)
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 5, time.FixedZone("", 3600))
	u, err := w.Usage(ctx, api.UsageOptions{From: from, To: from.Add(time.Hour), By: api.UsageByLabel, Label: "a/b", Instance: "web"})
	if err != nil || !u.From.Equal(from) || !u.To.Equal(from.Add(time.Hour)) || u.Label != "a/b" || len(u.Items) != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	_, err = w.Usage(ctx, api.UsageOptions{By: "week"})
	wantCode(t, err, api.Invalid)
}
