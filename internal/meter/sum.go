package meter

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"time"

	"cis/api"
)

// Sum adds intervals up, clipped to a time.
type Sum struct {
	opts   api.UsageOptions
	prices *Prices
	now    time.Time
	groups map[string]*group
}

// group is what is added up for one item.
type group struct {
	name string
	// latest is when the instance that gave the name started.
	latest time.Time
	rated  map[tariff]*amounts
}

// tariff is what the prices of an interval depend on.
type tariff struct {
	isolation api.Isolation
	cpu       api.CPU
	memory    api.Bytes
}

// amounts are exact: times in nanoseconds, sizes in bytes and thousandths of a core.
type amounts struct {
	time, cpu, memory, storage, address big.Int
	sent                                int64
}

// NewSum makes an empty sum of the time and by what the options say, which must be
// valid. Intervals that are open count until now.
func NewSum(opts api.UsageOptions, prices *Prices, now time.Time) *Sum {
	return &Sum{opts: opts, prices: prices, now: now, groups: map[string]*group{}}
}

// Add adds what is within the time.
func (s *Sum) Add(i Interval) {
	if i.End.IsZero() {
		i.End = later(s.now, i.Start.Add(1))
	}
	for _, piece := range i.pieces() {
		s.addPiece(piece)
	}
}

// addPiece adds what had one size all the time.
func (s *Sum) addPiece(i Interval) {
	if s.opts.By != api.UsageByDay {
		s.add(i, s.opts.From, s.opts.To)
		return
	}
	from, to := later(s.opts.From, i.Start), earlier(s.opts.To, i.End)
	for from.Before(to) {
		next := from.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		s.add(i, from, earlier(next, to))
		from = next
	}
}

func (s *Sum) add(i Interval, from, to time.Time) {
	length := overlap(i.Start, i.End, from, to)
	if length == 0 {
		return
	}
	a := s.amountsOf(i, from)
	if !i.Disk {
		accrue(&a.time, length, 1)
	}
	accrue(&a.cpu, length, int64(i.CPU))
	accrue(&a.memory, length, int64(i.Memory))
	accrue(&a.storage, length, int64(i.Storage))
	for _, span := range i.Addresses {
		if span.End.IsZero() {
			span.End = i.End
		}
		accrue(&a.address, overlap(later(span.Start, i.Start), earlier(span.End, i.End), from, to), 1)
	}
	for _, sent := range i.Sent {
		if at := i.placed(sent.Hour); !at.Before(from) && at.Before(to) {
			a.sent += sent.Bytes
		}
	}
}

// placed is the moment, within the interval, at which the bytes of an hour count.
func (i *Interval) placed(hour time.Time) time.Time {
	return earlier(later(hour, i.Start), i.End.Add(-1))
}

// amountsOf is where the interval's amounts belong.
func (s *Sum) amountsOf(i Interval, from time.Time) *amounts {
	key, name := i.Instance, i.Name
	switch s.opts.By {
	case api.UsageByLabel:
		key, name = i.Labels[s.opts.Label], ""
	case api.UsageByDay:
		key, name = from.UTC().Format(time.DateOnly), ""
	case api.UsageByAccount:
		key, name = i.Account, ""
	}
	g := s.groups[key]
	if g == nil {
		g = &group{rated: map[tariff]*amounts{}}
		s.groups[key] = g
	}
	if !i.Start.Before(g.latest) {
		g.name, g.latest = name, i.Start
	}
	t := tariff{i.Isolation, i.CPU, i.Memory}
	if g.rated[t] == nil {
		g.rated[t] = &amounts{}
	}
	return g.rated[t]
}

// Result is the sum.
func (s *Sum) Result() api.Usage {
	u := api.Usage{From: s.opts.From.UTC(), To: s.opts.To.UTC(), By: s.opts.By, Label: s.opts.Label, Items: []api.UsageItem{}}
	if s.prices != nil {
		u.Currency = s.prices.currency
	}
	var all amounts
	var cost big.Rat
	for key, g := range s.groups {
		sum, price := s.priced(g)
		all.add(sum)
		cost.Add(&cost, price)
		u.Items = append(u.Items, api.UsageItem{Key: key, Name: g.name, UsageAmounts: s.shown(sum, price)})
	}
	slices.SortFunc(u.Items, func(a, b api.UsageItem) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Key, b.Key))
	})
	u.Total = s.shown(&all, &cost)
	return u
}

// priced adds a group up and says what it costs.
func (s *Sum) priced(g *group) (sum *amounts, cost *big.Rat) {
	sum, cost = &amounts{}, new(big.Rat)
	for t, a := range g.rated {
		sum.add(a)
		if s.prices != nil {
			cost.Add(cost, s.prices.rateOf(t).cost(a))
		}
	}
	return sum, cost
}

func (a *amounts) add(b *amounts) {
	a.time.Add(&a.time, &b.time)
	a.cpu.Add(&a.cpu, &b.cpu)
	a.memory.Add(&a.memory, &b.memory)
	a.storage.Add(&a.storage, &b.storage)
	a.address.Add(&a.address, &b.address)
	a.sent += b.sent
}

func (s *Sum) shown(a *amounts, cost *big.Rat) api.UsageAmounts {
	second, gibSecond := int64(time.Second), big.NewInt(int64(api.GiB)*int64(time.Second))
	u := api.UsageAmounts{
		Seconds:        decimal(ratio(&a.time, big.NewInt(second)), 3),
		VCPUSeconds:    decimal(ratio(&a.cpu, big.NewInt(1000*second)), 3),
		GiBSeconds:     decimal(ratio(&a.memory, gibSecond), 3),
		DiskGiBSeconds: decimal(ratio(&a.storage, gibSecond), 3),
		AddressHours:   decimal(ratio(&a.address, big.NewInt(int64(time.Hour))), 6),
		BytesOut:       a.sent,
	}
	if s.prices != nil {
		u.Cost = decimal(cost, 6)
	}
	return u
}

// accrue adds length times size.
func accrue(sum *big.Int, length time.Duration, size int64) {
	product := big.NewInt(int64(length))
	sum.Add(sum, product.Mul(product, big.NewInt(size)))
}

func ratio(a, b *big.Int) *big.Rat { return new(big.Rat).SetFrac(a, b) }

// overlap is how much of the time from a to b is within from and to.
func overlap(a, b, from, to time.Time) time.Duration {
	return max(0, earlier(b, to).Sub(later(a, from)))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// decimal is a number with at most so many digits after the point.
func decimal(r *big.Rat, digits int) api.Decimal {
	s := r.FloatString(digits)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return api.Decimal(s)
}
