package api

import (
	"net/netip"
	"time"
)

// Subnet is a range of a VPC from which instances get their addresses. Subnets of one VPC
// reach each other.
type Subnet struct {
	// ID is "subnet-" and 8 hexadecimal digits. Shown, not set.
	ID string `json:"id,omitempty"`
	// Account that owns it. Shown, not set.
	Account string `json:"account,omitempty"`
	// Name is unique among the account's subnets: a DNS label.
	Name string `json:"name"`
	// Labels are the user's own.
	Labels map[string]string `json:"labels,omitempty"`
	// VPC by name or ID. Default: the default VPC.
	VPC string `json:"vpc,omitempty"`
	// CIDR is a part of the VPC's range, /29 or larger, that no other subnet has. Its
	// first two addresses and the last one are never given out.
	CIDR string `json:"cidr"`
	// IPv6 gives each instance an IPv6 address too. It never changes.
	IPv6 bool `json:"ipv6,omitempty"`
	// CIDR6 is the /64 of a subnet with IPv6; the last 32 bits of each address in it are
	// the instance's IPv4 address. Shown, not set.
	CIDR6 string `json:"cidr6,omitempty"`
	// Available counts the free addresses. Shown, not set.
	Available int       `json:"available"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// Default fills in what the subnet leaves out.
func (s *Subnet) Default() { setDefault(&s.VPC, DefaultName) }

// Validate checks a subnet that is to be made.
func (s *Subnet) Validate() error {
	var c checker
	c.resource("subnet-", s.ID, s.Account, s.Name, s.Labels, s.CreatedAt, 0)
	c.check(s.Name != "", "name", dnsLabelRule)
	c.check(isDNSLabel(s.VPC), "vpc", "must be the name or ID of a VPC")
	c.check(s.CIDR6 == "", "cidr6", "is shown, not set: ipv6 asks for one")
	c.check(s.Available == 0, "available", "is shown, not set")
	if p, ok := c.cidr4(s.CIDR, "cidr"); ok {
		c.check(p.Bits() <= 29, "cidr", "must be a /29 or larger, not a /%d", p.Bits())
	}
	return Join(c.mistakes)
}

// Range is the IPv4 range of a valid subnet.
func (s *Subnet) Range() netip.Prefix {
	p, _ := netip.ParsePrefix(s.CIDR)
	return p
}
