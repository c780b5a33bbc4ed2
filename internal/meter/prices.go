package meter

import (
	"fmt"
	"math/big"
	"os"
	"regexp"
	"time"

	"go.yaml.in/yaml/v2"

	"cis/api"
)

// Prices is a price list. A nil one has no prices: everything costs nothing.
type Prices struct {
	currency string
	common   rates
	// isolations have what is other for them.
	isolations map[api.Isolation]rates
}

// rates are what a price list says at one place; nil: nothing.
type rates struct {
	vcpuHour, gibHour, diskGiBHour, addressHour, gibOut, discount *big.Rat
	sizes                                                         map[size]*big.Rat
}

type size struct {
	cpu    api.CPU
	memory api.Bytes
}

// rate is what an instance pays, before the discount.
type rate struct {
	// hour is for its processors and memory, diskGiBHour for a GiB of storage.
	hour, diskGiBHour, addressHour, gibOut *big.Rat
	// part is what the discount leaves.
	part     *big.Rat
	discount *big.Rat
	fixed    bool
}

// rateOf finds what holds for instances of an isolation and size.
func (p *Prices) rateOf(t tariff) rate {
	own := p.isolations[t.isolation]
	r := rate{
		diskGiBHour: firstOf(own.diskGiBHour, p.common.diskGiBHour),
		addressHour: firstOf(own.addressHour, p.common.addressHour),
		gibOut:      firstOf(own.gibOut, p.common.gibOut),
		discount:    firstOf(own.discount, p.common.discount),
	}
	r.part = new(big.Rat).Sub(big.NewRat(1, 1), new(big.Rat).Quo(r.discount, big.NewRat(100, 1)))
	sizes := p.common.sizes
	if own.sizes != nil {
		sizes = own.sizes
	}
	if r.hour, r.fixed = sizes[size{t.cpu, t.memory}]; r.fixed {
		return r
	}
	cpu := new(big.Rat).Mul(firstOf(own.vcpuHour, p.common.vcpuHour), big.NewRat(int64(t.cpu), 1000))
	memory := new(big.Rat).Mul(firstOf(own.gibHour, p.common.gibHour), gib(t.memory))
	r.hour = cpu.Add(cpu, memory)
	return r
}

// cost is what amounts of instances of this rate cost.
func (r rate) cost(a *amounts) *big.Rat {
	hour := big.NewInt(int64(time.Hour))
	gibHour := new(big.Int).Mul(hour, big.NewInt(int64(api.GiB)))
	sum := new(big.Rat)
	for _, part := range []struct{ price, amount *big.Rat }{
		{r.hour, ratio(&a.time, hour)}, {r.diskGiBHour, ratio(&a.storage, gibHour)},
		{r.addressHour, ratio(&a.address, hour)}, {r.gibOut, gib(api.Bytes(a.sent))},
	} {
		sum.Add(sum, part.amount.Mul(part.amount, part.price))
	}
	return sum.Mul(sum, r.part)
}

// Price says what an instance costs.
func (p *Prices) Price(o api.PriceOptions) api.Price {
	price := api.Price{CPU: o.CPU, Memory: o.Memory, EphemeralStorage: o.EphemeralStorage, Isolation: o.Isolation,
		PerHour: "0", PerSecond: "0", AddressHour: "0", GiBOut: "0"}
	if p == nil {
		return price
	}
	r := p.rateOf(tariff{o.Isolation, o.CPU, o.Memory})
	hour := new(big.Rat).Mul(r.diskGiBHour, gib(o.EphemeralStorage))
	hour.Mul(hour.Add(hour, r.hour), r.part)
	price.Currency, price.Fixed = p.currency, r.fixed
	price.PerHour, price.PerSecond = decimal(hour, 9), decimal(new(big.Rat).Quo(hour, big.NewRat(3600, 1)), 12)
	price.AddressHour = decimal(new(big.Rat).Mul(r.addressHour, r.part), 9)
	price.GiBOut = decimal(new(big.Rat).Mul(r.gibOut, r.part), 9)
	if r.discount.Sign() > 0 {
		price.DiscountPercent = decimal(r.discount, 9)
	}
	return price
}

func gib(b api.Bytes) *big.Rat { return big.NewRat(int64(b), int64(api.GiB)) }

// firstOf is the first that is there, or nothing.
func firstOf(all ...*big.Rat) *big.Rat {
	for _, r := range all {
		if r != nil {
			return r
		}
	}
	return new(big.Rat)
}

// The price file. Numbers are text, so that none passes through a float.
type (
	file struct {
		Currency   string              `yaml:"currency"`
		Rates      fileRate            `yaml:",inline"`
		Isolations map[string]fileRate `yaml:"isolations"`
	}
	fileRate struct {
		VCPUHour        string     `yaml:"vcpuHour"`
		GiBHour         string     `yaml:"gibHour"`
		DiskGiBHour     string     `yaml:"diskGiBHour"`
		AddressHour     string     `yaml:"addressHour"`
		GiBOut          string     `yaml:"gibOut"`
		DiscountPercent string     `yaml:"discountPercent"`
		Sizes           []fileSize `yaml:"sizes"`
	}
	fileSize struct {
		CPU    string `yaml:"cpu"`
		Memory string `yaml:"memory"`
		Hour   string `yaml:"hour"`
	}
)

// LoadPrices reads a price file, YAML or JSON. Errors name the field.
func LoadPrices(path string) (*Prices, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	p, err := ParsePrices(data)
	if err != nil {
		return nil, fmt.Errorf("read prices %s: %w", path, err)
	}
	return p, nil
}

var currencyName = regexp.MustCompile(`^[\p{L}\p{Sc}]{1,16}$`)

// ParsePrices reads the text of a price file. Errors name the field.
func ParsePrices(data []byte) (*Prices, error) {
	var f file
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		return nil, api.Errorf(api.Invalid, "%w", err).WithNext("docs/metering.md has an example")
	}
	if !currencyName.MatchString(f.Currency) {
		return nil, api.FieldError("currency", "must be a name of 1 to 16 letters, such as EUR, not %q", f.Currency)
	}
	p := &Prices{currency: f.Currency, isolations: map[api.Isolation]rates{}}
	var err error
	if p.common, err = f.Rates.read(""); err != nil {
		return nil, err
	}
	for name, own := range f.Isolations {
		iso := api.Isolation(name)
		if iso != api.IsolationVM && iso != api.IsolationGVisor {
			return nil, api.FieldError("isolations."+name, "must be vm or gvisor")
		}
		if p.isolations[iso], err = own.read("isolations." + name + "."); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// read reads rates; at is where they are in the file.
func (f fileRate) read(at string) (rates, error) {
	var r rates
	var err error
	for _, field := range []struct {
		name, text string
		to         **big.Rat
	}{
		{"vcpuHour", f.VCPUHour, &r.vcpuHour}, {"gibHour", f.GiBHour, &r.gibHour}, {"diskGiBHour", f.DiskGiBHour, &r.diskGiBHour},
		{"addressHour", f.AddressHour, &r.addressHour}, {"gibOut", f.GiBOut, &r.gibOut}, {"discountPercent", f.DiscountPercent, &r.discount},
	} {
		if field.text == "" {
			continue
		}
		if *field.to, err = parseDecimal(at+field.name, field.text); err != nil {
			return r, err
		}
	}
	if r.discount != nil && r.discount.Cmp(big.NewRat(100, 1)) > 0 {
		return r, api.FieldError(at+"discountPercent", "must be 0 to 100, not %s", f.DiscountPercent)
	}
	r.sizes, err = readSizes(at, f.Sizes)
	return r, err
}

func readSizes(at string, list []fileSize) (map[size]*big.Rat, error) {
	if list == nil {
		return nil, nil
	}
	sizes := map[size]*big.Rat{}
	for i, s := range list {
		at := fmt.Sprintf("%ssizes[%d].", at, i)
		cpu, err := api.ParseCPU(s.CPU)
		if err != nil {
			return nil, api.FieldError(at+"cpu", "%w", err)
		}
		memory, err := api.ParseBytes(s.Memory)
		if err != nil {
			return nil, api.FieldError(at+"memory", "%w", err)
		}
		hour, err := parseDecimal(at+"hour", s.Hour)
		if err != nil {
			return nil, err
		}
		if _, twice := sizes[size{cpu, memory}]; twice {
			return nil, api.FieldError(at+"cpu", "size %s,%s is there twice", cpu, memory)
		}
		sizes[size{cpu, memory}] = hour
	}
	return sizes, nil
}

func parseDecimal(field, text string) (*big.Rat, error) {
	r, ok := api.Decimal(text).Rat()
	if !ok {
		return nil, api.FieldError(field, "must be a plain decimal number from 0, such as 0.12, not %q", text)
	}
	return r, nil
}
