package meter

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cis/api"
)

var epoch = time.Date(2026, 1, 30, 21, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func options(from, to time.Time, by api.UsageBy) api.UsageOptions {
	return api.UsageOptions{From: from, To: to, By: by, Label: "team"}
}

// rat reads a decimal that is shown.
func rat(t *testing.T, d api.Decimal) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(string(d))
	if !ok {
		t.Fatalf("%q is no number", d)
	}
	return r
}

func TestSum(t *testing.T) {
	prices, err := ParsePrices([]byte("currency: EUR\nvcpuHour: 0.036\ngibHour: 0.0072\ngibOut: 1\naddressHour: 3.6\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSum(options(at(0), at(1000), api.UsageByInstance), prices, at(500))
	s.Add(Interval{Instance: "i-1", Name: "old", CPU: 500, Memory: api.GiB / 2, Storage: 10 * api.GiB, Start: at(-100), End: at(100),
		Sent: []Sent{{at(0), 1 << 30}}})
	s.Add(Interval{Instance: "i-1", Name: "new", CPU: 500, Memory: api.GiB / 2, Start: at(400), Addresses: []Span{{Start: at(410), End: at(420)}, {Start: at(450)}}})
	s.Add(Interval{Disk: true, Instance: "disk-1", Name: "data", Storage: 2 * api.GiB, Start: at(-100)})
	s.Add(Interval{Instance: "i-2", Name: "b", CPU: 1000, Start: at(1000), End: at(1100)})
	got := s.Result()
	want := api.UsageAmounts{Seconds: "200", VCPUSeconds: "100", GiBSeconds: "100", DiskGiBSeconds: "1000", AddressHours: "0.016667",
		BytesOut: 1 << 30, Cost: "1.0612"}
	disk := api.UsageAmounts{Seconds: "0", VCPUSeconds: "0", GiBSeconds: "0", DiskGiBSeconds: "1000", AddressHours: "0", Cost: "0"}
	if len(got.Items) != 2 || got.Items[0].UsageAmounts != disk || got.Total.DiskGiBSeconds != "2000" || got.Total.Seconds != want.Seconds {
		t.Errorf("%+v", got)
	}
	got.Items = got.Items[1:]
	if got.Items[0].UsageAmounts != want || got.Items[0].Name != "new" || got.Currency != "EUR" {
		t.Errorf("%+v", got)
	}
}

// sizeAt is what an interval had at a time.
func sizeAt(i Interval, t time.Time) Size {
	size := Size{i.Start, i.CPU, i.Memory}
	for _, s := range i.Sizes {
		if !s.From.After(t) {
			size = s
		}
	}
	return size
}

// model counts second by second.
func model(all []Interval, from, to, now int, counts func(Size) int64) (sum int64) {
	for second := from; second < to; second++ {
		for _, i := range all {
			if !at(second).Before(i.Start) && (at(second).Before(i.End) || i.End.IsZero() && second < now) {
				sum += counts(sizeAt(i, at(second)))
			}
		}
	}
	return sum
}

// Whatever the intervals: what is added up is what a count of each second gives, however
// the time is cut into parts, and whatever it is added up by.
func TestEachSecondCountsOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const span = 20000 // goes over midnight
	for range 15 {
		var all []Interval
		now := span + random.IntN(100)
		for n := range random.IntN(8) {
			start := random.IntN(span)
			i := Interval{Account: string(rune('p' + n%3)), Instance: string(rune('a' + n%3)), CPU: api.CPU(random.IntN(4) * 250), Memory: api.Bytes(random.IntN(4)) * api.GiB,
				Start: at(start), End: at(start + 1 + random.IntN(span/3)), Labels: map[string]string{"team": string(rune('x' + n%2))}}
			i.Sent = []Sent{{i.Start.Truncate(time.Hour), 7}, {i.End.Add(-1).Truncate(time.Hour), 5}}
			if random.IntN(2) == 0 { // it was resized, some of it after the end that was told later
				for second := start; second < start+span/2; second += random.IntN(span / 5) {
					i.Sizes = append(i.Sizes, Size{at(second), api.CPU(random.IntN(4) * 250), api.Bytes(random.IntN(4)) * api.GiB})
				}
				i.CPU, i.Memory = i.Sizes[0].CPU, i.Sizes[0].Memory
			}
			if random.IntN(4) == 0 {
				i.End = time.Time{}
			}
			all = append(all, i)
		}
		for _, by := range []api.UsageBy{api.UsageByInstance, api.UsageByLabel, api.UsageByDay, api.UsageByAccount} {
			var cpu, memory, sent, items big.Rat
			for from := 0; from < 2*span; {
				to := min(2*span, from+1+random.IntN(span))
				s := NewSum(options(at(from), at(to), by), nil, at(now))
				for _, i := range all {
					s.Add(i)
				}
				u := s.Result()
				cpu.Add(&cpu, rat(t, u.Total.VCPUSeconds))
				memory.Add(&memory, rat(t, u.Total.GiBSeconds))
				sent.Add(&sent, big.NewRat(u.Total.BytesOut, 1))
				for _, item := range u.Items {
					items.Add(&items, rat(t, item.VCPUSeconds))
				}
				from = to
			}
			wantCPU := big.NewRat(model(all, 0, 2*span, now, func(s Size) int64 { return int64(s.CPU) }), 1000)
			wantMemory := big.NewRat(model(all, 0, 2*span, now, func(s Size) int64 { return int64(s.Memory / api.GiB) }), 1)
			if cpu.Cmp(wantCPU) != 0 || items.Cmp(wantCPU) != 0 || memory.Cmp(wantMemory) != 0 || sent.Cmp(big.NewRat(int64(12*len(all)), 1)) != 0 {
				t.Fatalf("by %s: cpu %v, items %v, want %v; memory %v, want %v; sent %v of %d: %+v", by, &cpu, &items, wantCPU, &memory, wantMemory, &sent, len(all), all)
			}
		}
	}
}

func TestClock(t *testing.T) {
	var none *Clock
	if none.Open() || none.Stop(at(1), nil) != nil || none.Bind(true, at(1)) != nil {
		t.Error("there is no clock")
	}
	first := &Clock{Start: at(0)}
	c := first.Bind(false, at(1)).Bind(true, at(2)).Bind(true, at(3)).Bind(false, at(4)).Bind(true, at(5)).Stop(at(6), nil)
	if len(c.Addresses) != 2 || !c.Addresses[0].End.Equal(at(4)) || !c.Addresses[1].Start.Equal(at(5)) || len(first.Addresses) != 0 || !first.Open() {
		t.Errorf("%+v, first %+v", c, first)
	}
	if again := c.Stop(at(9), nil); !again.End.Equal(at(6)) || !c.Resume().Open() {
		t.Errorf("%+v", again)
	}
	if c := first.Stop(at(-5), nil); !c.End.After(c.Start) {
		t.Errorf("%+v", c)
	}
}

const list = `
currency: EUR
vcpuHour: 0.04
gibHour: "0.005"
diskGiBHour: 0.0001
addressHour: 0.005
gibOut: 0.08
discountPercent: 10
sizes:
  - {cpu: 1, memory: 2Gi, hour: 0.045}
isolations:
  vm:
    vcpuHour: 0.1
    discountPercent: 0
`

func TestPrice(t *testing.T) {
	p, err := ParsePrices([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		o            api.PriceOptions
		hour, second api.Decimal
		fixed        bool
	}{
		{api.PriceOptions{CPU: 500, Memory: api.GiB, EphemeralStorage: 10 * api.GiB, Isolation: api.IsolationGVisor}, "0.0234", "0.0000065", false},
		{api.PriceOptions{CPU: 1000, Memory: 2 * api.GiB, Isolation: api.IsolationGVisor}, "0.0405", "0.00001125", true},
		{api.PriceOptions{CPU: 1000, Memory: 2 * api.GiB, Isolation: api.IsolationVM}, "0.045", "0.0000125", true},
		{api.PriceOptions{CPU: 100, Memory: api.GiB, Isolation: api.IsolationVM}, "0.015", "0.000004166667", false},
	} {
		if got := p.Price(tt.o); got.PerHour != tt.hour || got.PerSecond != tt.second || got.Fixed != tt.fixed || got.Currency != "EUR" {
			t.Errorf("%+v", got)
		}
	}
	var none *Prices
	if got := none.Price(api.PriceOptions{CPU: 500}); got.PerHour != "0" || got.Currency != "" {
		t.Errorf("%+v", got)
	}
}

func TestBadPriceFiles(t *testing.T) {
	for _, tt := range []struct{ text, field, says string }{
		{"", "currency", "1 to 16 letters"},
		{"currency: E U", "currency", "E U"},
		{"currency: EUR\nvcpuHour: -1", "vcpuHour", "plain decimal"},
		{"currency: EUR\nvcpuHour: 1e-3", "vcpuHour", `"1e-3"`},
		{"currency: EUR\ngibHour: 010", "gibHour", "plain decimal"},
		{"currency: EUR\ndiscountPercent: 101", "discountPercent", "0 to 100"},
		{"currency: EUR\nsizes: [{cpu: 1, memory: 2Gi}]", "sizes[0].hour", "plain decimal"},
		{"currency: EUR\nsizes: [{cpu: x, memory: 2Gi, hour: 1}]", "sizes[0].cpu", "amount of cpu"},
		{"currency: EUR\nsizes: [{cpu: 1, memory: 2Gi, hour: 1}, {cpu: 1000m, memory: 2048Mi, hour: 2}]", "sizes[1].cpu", "twice"},
		{"currency: EUR\nisolations: {kvm: {}}", "isolations.kvm", "vm or gvisor"},
		{"currency: EUR\nisolations: {vm: {addressHour: x}}", "isolations.vm.addressHour", "plain decimal"},
		{"currency: EUR\nvcpuhour: 1", "", "vcpuhour"},
		{"{", "", "yaml"},
	} {
		_, err := ParsePrices([]byte(tt.text))
		e, ok := err.(*api.Error)
		if !ok || e.Field != tt.field || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q gives %v", tt.text, err)
		}
	}
	if _, err := ParsePrices([]byte(`{"currency":"EUR","vcpuHour":0.1,"isolations":{"vm":{"gibHour":"2"}}}`)); err != nil {
		t.Errorf("JSON: %v", err)
	}
}

func TestClockOfAResize(t *testing.T) {
	var none *Clock
	size := func(cpu api.CPU) api.ResourceList { return api.ResourceList{CPU: cpu, Memory: api.GiB} }
	if none.Resize(size(1), at(1)) != nil {
		t.Error("there is no clock")
	}
	first := (&Clock{Start: at(0)}).Resize(size(1), at(5)).Resize(size(1), at(6))
	c := first.Resize(size(2), at(8)).Bind(true, at(9)).Resize(size(1), at(7)).Stop(at(10), nil).Resume().Stop(at(11), nil)
	want := []Size{{at(0), 1, api.GiB}, {at(8), 2, api.GiB}, {at(8), 1, api.GiB}}
	if !slices.Equal(c.Sizes, want) || len(first.Sizes) != 1 || len(c.Addresses) != 1 || c.Resize(size(3), at(12)) != c {
		t.Errorf("%+v, first %+v", c, first)
	}
}

// What was resized is charged by the size of the time, and what it sent once.
func TestSumOfAResize(t *testing.T) {
	prices, err := ParsePrices([]byte("currency: EUR\nvcpuHour: 36\ngibOut: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSum(options(at(0), at(1000), api.UsageByInstance), prices, at(500))
	s.Add(Interval{Instance: "i-1", Name: "a", CPU: 1000, Memory: api.GiB, Start: at(0), End: at(100), Sent: []Sent{{at(0), 1 << 30}},
		Sizes: []Size{{at(0), 1000, api.GiB}, {at(10), 500, 2 * api.GiB}, {at(10), 4000, api.GiB}, {at(30), 2000, api.GiB}, {at(150), 9000, api.GiB}}})
	want := api.UsageAmounts{Seconds: "100", VCPUSeconds: "230", GiBSeconds: "100", DiskGiBSeconds: "0", AddressHours: "0", BytesOut: 1 << 30, Cost: "3.3"}
	if got := s.Result(); len(got.Items) != 1 || got.Total != want || got.Items[0].Name != "a" {
		t.Errorf("%+v", got)
	}
}
