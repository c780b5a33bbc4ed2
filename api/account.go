package api

import "time"

// Account owns instances, networks, addresses, disks and secrets, and pays for them. What
// one account owns no other one sees.
type Account struct {
	// Name is unique: a DNS label.
	Name string `json:"name"`
	// Labels are the operator's own.
	Labels map[string]string `json:"labels,omitempty"`
	// Disabled refuses every request of the account; what runs goes on.
	Disabled bool `json:"disabled,omitempty"`
	// Quota bounds what it may own at a time.
	Quota Quota `json:"quota,omitzero"`
	// Sizes, when there are any, are the only ones that its instances may have.
	Sizes []Size `json:"sizes,omitempty"`
	// Budget bounds what it may cost in a month.
	Budget    *Budget   `json:"budget,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// Revision grows with every change. Shown, not set.
	Revision int64 `json:"revision,omitempty"`
}

// Quota bounds what an account may own at a time. What is left out is not bounded.
type Quota struct {
	// Instances that have not ended, and the cores and memory promised to them.
	Instances *int   `json:"instances,omitempty"`
	CPU       *CPU   `json:"cpu,omitempty"`
	Memory    *Bytes `json:"memory,omitempty"`
	// Addresses are public ones.
	Addresses *int `json:"addresses,omitempty"`
	// Images is what the images that it has pulled or imported take on disk.
	Images *Bytes `json:"images,omitempty"`
	// Disks is the size of its named disks and their snapshots.
	Disks *Bytes `json:"disks,omitempty"`
}

// Budget bounds what an account may cost in a calendar month, in UTC.
type Budget struct {
	// Amount in the currency of the price list, such as "120.50".
	Amount Decimal `json:"amount"`
	// Stop also stops the account's instances once it is used up; else only new ones are
	// refused.
	Stop bool `json:"stop,omitempty"`
}

// AccountUpdate changes an account; what it leaves out stays.
type AccountUpdate struct {
	Labels   map[string]string `json:"labels,omitzero"`
	Disabled *bool             `json:"disabled,omitempty"`
	// Quota replaces all bounds.
	Quota *Quota `json:"quota,omitempty"`
	// Sizes replaces all of them; an empty list allows any.
	Sizes []Size `json:"sizes,omitzero"`
	// Budget replaces the budget; one without an amount removes it.
	Budget *Budget `json:"budget,omitempty"`
	// Revision, when set, is the one that the change was made for: any other is a conflict.
	Revision int64 `json:"revision,omitempty"`
}

// QuotaStatus is what an account may own at a time and what it does.
type QuotaStatus struct {
	Account string `json:"account"`
	Limits  Quota  `json:"limits"`
	Used    Quota  `json:"used"`
	// Budget, and what of it was spent this month; absent where there is none.
	Budget *Budget `json:"budget,omitempty"`
	Spent  Decimal `json:"spent,omitempty"`
}

// Validate checks an account that is to be made.
func (a *Account) Validate() error {
	var c checker
	c.check(isDNSLabel(a.Name), "name", dnsLabelRule)
	c.labels(a.Labels)
	c.check(a.CreatedAt.IsZero(), "createdAt", "is shown, not set")
	c.check(a.Revision == 0, "revision", "is shown, not set")
	c.quota(&a.Quota)
	c.sizes(a.Sizes)
	if a.Budget != nil {
		c.check(a.Budget.Amount != "", "budget.amount", amountRule)
		c.budget(a.Budget)
	}
	return Join(c.mistakes)
}

// Validate checks a change.
func (u *AccountUpdate) Validate() error {
	var c checker
	c.labels(u.Labels)
	if u.Quota != nil {
		c.quota(u.Quota)
	}
	c.sizes(u.Sizes)
	if u.Budget != nil {
		c.budget(u.Budget)
	}
	return Join(c.mistakes)
}

func (c *checker) quota(q *Quota) {
	const rule = "must not be negative"
	c.check(q.Instances == nil || *q.Instances >= 0, "quota.instances", rule)
	c.check(q.CPU == nil || *q.CPU >= 0, "quota.cpu", rule)
	c.check(q.Memory == nil || *q.Memory >= 0, "quota.memory", rule)
	c.check(q.Addresses == nil || *q.Addresses >= 0, "quota.addresses", rule)
	c.check(q.Images == nil || *q.Images >= 0, "quota.images", rule)
	c.check(q.Disks == nil || *q.Disks >= 0, "quota.disks", rule)
}

func (c *checker) sizes(sizes []Size) {
	for _, s := range sizes {
		c.check(s.CPU >= MinCPU && s.CPU%CPUStep == 0 && s.Memory >= MinMemory && s.Memory%MemoryStep == 0, "sizes",
			"%s,%s: cpu must be a multiple of %s cores from %s, memory one of %s from %s", s.CPU, s.Memory, CPUStep, MinCPU, MemoryStep, MinMemory)
	}
}

const amountRule = "must be a decimal number such as 120.50, not negative"

func (c *checker) budget(b *Budget) {
	if b.Amount != "" {
		_, ok := b.Amount.Rat()
		c.check(ok, "budget.amount", amountRule)
	}
}
