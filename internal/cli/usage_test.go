package cli

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/meter"
)

func TestUsageAndPrice(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "price", "--cpu", "1", "--memory", "2Gi"), 0,
		"Size:             1 cpu, 2Gi, 10Gi of storage\nIsolation:        gvisor\nPrice:            nothing: the server has no price list\n", "")
	l.want(l.cis("", "run", "-d", "--name", "a", "-l", "team=x", "both"), 0, "a\n", "")
	r := l.cis("", "usage")
	if lines := strings.Split(r.out, "\n"); r.code != 0 || len(lines) != 4 || !strings.HasPrefix(lines[0], "INSTANCE             SECONDS") ||
		strings.Contains(lines[0], "COST") || !strings.HasPrefix(lines[1], "a (i-000000000001)") || !strings.HasPrefix(lines[2], "total ") {
		t.Errorf("%+v", r)
	}
	if r = l.cis("", "inspect", "a"); strings.Contains(r.out, "Cost") {
		t.Errorf("%+v", r)
	}
	var err error
	l.engine.Prices, err = meter.ParsePrices([]byte("currency: EUR\nvcpuHour: 0.04\ngibHour: 0.005\naddressHour: 1\ndiscountPercent: 20\nsizes: [{cpu: 1, memory: 2Gi, hour: 0.09}]"))
	if err != nil {
		t.Fatal(err)
	}
	l.want(l.cis("", "price", "--cpu", "1", "-m", "2Gi", "--ephemeral-storage", "1Gi", "--isolation", "vm"), 0, `Size:             1 cpu, 2Gi, 1Gi of storage
Isolation:        vm
Per hour:         0.072 EUR (a price for this size)
Per second:       0.00002 EUR
Public address:   0.8 EUR per hour
Sent:             0 EUR per GiB
Discount:         20%, included
`, "")
	if r = l.cis("", "inspect", "a"); !strings.Contains(r.out, "Cost so far:      0") || !strings.Contains(r.out, " EUR\n") {
		t.Errorf("%+v", r)
	}
	var u api.Usage
	r = l.cis("", "usage", "a", "--by", "label", "--label", "team", "--from", "24h", "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &u); err != nil || len(u.Items) != 1 || u.Items[0].Key != "x" || u.Total.Cost == "" {
		t.Errorf("%v: %+v", err, r)
	}
	lines, err := csv.NewReader(strings.NewReader(l.cis("", "usage", "-o", "csv").out)).ReadAll()
	if err != nil || len(lines) != 2 || lines[0][0] != "instance" || lines[1][0] != "i-000000000001" || lines[1][1] != "a" || lines[1][9] != "EUR" {
		t.Errorf("%v: %q", err, lines)
	}
	if r = l.cis("", "usage", "--by", "day", "-o", "table"); r.code != 0 || !strings.HasPrefix(r.out, "DAY ") || !strings.Contains(r.out, "COST EUR") {
		t.Errorf("%+v", r)
	}
	if r = l.cis("", "usage", "-A", "--by", "account"); !strings.HasPrefix(r.out, "ACCOUNT ") || !strings.Contains(r.out, "\ntotal ") {
		t.Errorf("%+v", r)
	}
	if r = l.cis("", "__complete", "usage", "--label", ""); !strings.HasPrefix(r.out, "team\n") {
		t.Errorf("%+v", r)
	}
}

func TestBadUsageFlags(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"usage", "--from", "soon"}, `--from: "soon" is not a date`},
		{[]string{"usage", "--by", "week"}, "--by: must be instance, label, day or account"},
		{[]string{"usage", "--by", "label"}, "--label: is required"},
		{[]string{"usage", "--from", "1h", "--to", "2h"}, "--from: must be before"},
		{[]string{"usage", "-o", "yaml"}, "use table, json, csv"},
		{[]string{"price", "--cpu", "x"}, "--cpu: "},
		{[]string{"price", "--memory", "x"}, "--memory: "},
	} {
		l.want(l.cis("", tt.args...), 2, "", tt.says)
	}
}
