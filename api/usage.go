package api

import "time"

// UsageBy says what usage is added up by.
type UsageBy string

// The ways to add usage up.
const (
	UsageByInstance UsageBy = "instance"
	UsageByLabel    UsageBy = "label"
	UsageByDay      UsageBy = "day"
	UsageByAccount  UsageBy = "account"
)

// UsageOptions choose usage.
type UsageOptions struct {
	// From and To bound the time: From is in it, To is not. Zero: the beginning of
	// To's month in UTC, and now.
	From, To time.Time
	// By is what is added up by; empty: by instance.
	By UsageBy
	// Label is the key of the label whose values are added up by.
	Label string
	// Instance by name or ID, or the whole ID of one that was removed or of a disk; empty:
	// all.
	Instance string
}

// Default fills in what was left out.
func (o *UsageOptions) Default(now time.Time) {
	if o.To.IsZero() {
		o.To = now
	}
	if o.From.IsZero() {
		to := o.To.UTC()
		o.From = time.Date(to.Year(), to.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	setDefault(&o.By, UsageByInstance)
}

// maxUsageSpan bounds the days that usage is added up by.
const maxUsageSpan = 3660 * 24 * time.Hour

// Validate checks options that have their defaults.
func (o *UsageOptions) Validate() error {
	switch {
	case o.By != UsageByInstance && o.By != UsageByLabel && o.By != UsageByDay && o.By != UsageByAccount:
		return FieldError("by", "must be instance, label, day or account, not %q", o.By)
	case o.By == UsageByLabel && o.Label == "":
		return FieldError("label", "is required with by=label: the key of the label")
	case o.By != UsageByLabel && o.Label != "":
		return FieldError("label", "goes with by=label only")
	case !o.From.Before(o.To):
		return FieldError("from", "must be before %s", o.To.UTC().Format(time.RFC3339))
	case o.To.Sub(o.From) > maxUsageSpan:
		return FieldError("from", "must be at most ten years before the end")
	}
	return nil
}

// Usage is what instances have used from one time to another, and what it costs.
type Usage struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	By   UsageBy   `json:"by"`
	// Label is the key of the label, with by=label.
	Label string `json:"label,omitempty"`
	// Currency of the costs; empty: there are no prices.
	Currency string       `json:"currency,omitempty"`
	Items    []UsageItem  `json:"items"`
	Total    UsageAmounts `json:"total"`
}

// UsageItem is the usage of one instance, label value, day or account.
type UsageItem struct {
	// Key is the ID of the instance or disk, the label's value (empty: without the label), the
	// day in UTC, or the account's name.
	Key string `json:"key"`
	// Name of the instance or disk.
	Name string `json:"name,omitempty"`
	UsageAmounts
}

// UsageAmounts are sums, each exact until it is rounded for here.
type UsageAmounts struct {
	// Seconds that instances ran.
	Seconds     Decimal `json:"seconds"`
	VCPUSeconds Decimal `json:"vcpuSeconds"`
	// GiBSeconds of memory.
	GiBSeconds Decimal `json:"gibSeconds"`
	// DiskGiBSeconds of the ephemeral storage that was promised, and of disks.
	DiskGiBSeconds Decimal `json:"diskGiBSeconds"`
	// AddressHours of public addresses.
	AddressHours Decimal `json:"addressHours"`
	// BytesOut is what the instances sent.
	BytesOut int64 `json:"bytesOut"`
	// Cost is absent where there are no prices.
	Cost Decimal `json:"cost,omitempty"`
}

// PriceOptions say for what a price is asked. What is zero has the defaults of an
// instance.
type PriceOptions struct {
	CPU              CPU
	Memory           Bytes
	EphemeralStorage Bytes
	Isolation        Isolation
}

// Price is what an instance costs.
type Price struct {
	CPU              CPU       `json:"cpu"`
	Memory           Bytes     `json:"memory"`
	EphemeralStorage Bytes     `json:"ephemeralStorage"`
	Isolation        Isolation `json:"isolation"`
	// Currency of the prices; empty: there are none, and everything costs nothing.
	Currency string `json:"currency,omitempty"`
	// PerHour and PerSecond are for the instance while it runs, discount included.
	PerHour   Decimal `json:"perHour"`
	PerSecond Decimal `json:"perSecond"`
	// Fixed: the size has a price of its own.
	Fixed bool `json:"fixed,omitempty"`
	// AddressHour is for a public address, GiBOut for each GiB sent, discount included.
	AddressHour Decimal `json:"addressHour"`
	GiBOut      Decimal `json:"gibOut"`
	// DiscountPercent that is included.
	DiscountPercent Decimal `json:"discountPercent,omitempty"`
}
