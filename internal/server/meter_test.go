package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/meter"
)

func TestUsageAndPrice(t *testing.T) {
	w := newWorld(nil)
	var err error
	if w.engine.Prices, err = meter.ParsePrices([]byte("currency: EUR\nvcpuHour: 0.04\ngibHour: 0.005")); err != nil {
		t.Fatal(err)
	}
	w.do("POST", "/v1/instances", `{"name":"a","cpu":2,"labels":{"team":"x"},"containers":[{"image":"b"}]}`)
	for _, tt := range []struct{ target, says string }{
		{"/v1/usage", `"by":"instance","currency":"EUR","items":[{"key":"i-000000000001","name":"a","seconds":"0`},
		{"/v1/usage?by=label&label=team&from=24h", `"label":"team","currency":"EUR","items":[{"key":"x","seconds"`},
		{"/v1/usage?from=2020-01-01&to=2020-02-01T00:00:00%2B01:00", `{"from":"2020-01-01T00:00:00Z","to":"2020-01-31T23:00:00Z","by":"instance","currency":"EUR","items":[],"total":{"seconds":"0"`},
		{"/v1/price?cpu=2&memory=4Gi&isolation=vm", `"isolation":"vm","currency":"EUR","perHour":"0.1","perSecond":"0.000027777778"`},
		{"/v1/price", `"cpu":"0.5","memory":"256Mi","ephemeralStorage":"10Gi","isolation":"gvisor"`},
	} {
		if rec := w.do("GET", tt.target, ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s: %d %s\nwant %s", tt.target, rec.Code, rec.Body, tt.says)
		}
	}
	w.engine.Prices = nil
	var u api.Usage
	if err := json.Unmarshal(w.do("GET", "/v1/usage?by=day", "").Body.Bytes(), &u); err != nil || u.Currency != "" || u.Total.Cost != "" || len(u.Items) != 1 {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestBadUsageInput(t *testing.T) {
	w := newWorld(nil)
	for _, tt := range []struct{ target, field, says string }{
		{"/v1/usage?by=week", "by", "instance, label, day"},
		{"/v1/usage?by=label", "label", "is required"},
		{"/v1/usage?label=a", "label", "by=label only"},
		{"/v1/usage?from=soon", "from", "RFC 3339"},
		{"/v1/usage?to=0001-01-01", "to", "RFC 3339"},
		{"/v1/usage?from=2026-01-02&to=2026-01-02", "from", "before"},
		{"/v1/usage?from=1980-01-01&to=2020-01-01", "from", "ten years"},
		{"/v1/price?cpu=x", "cpu", "amount of cpu"},
		{"/v1/price?cpu=64", "cpu", "at most the host's 4"},
		{"/v1/price?memory=1", "memory", "32Mi"},
		{"/v1/price?isolation=kvm", "isolation", "auto, vm, gvisor"},
	} {
		if p := wantProblem(t, w.do("GET", tt.target, ""), 400); p.Field != tt.field || !strings.Contains(p.Detail, tt.says) {
			t.Errorf("%s gives field %q: %s", tt.target, p.Field, p.Detail)
		}
	}
}
