package api

import (
	"net/netip"
	"time"
)

// Address is a public address out of the operator's pool. Bound to an instance, all
// that comes to it goes to the instance, and the instance's traffic to the outside comes
// from it. Bound to a VPC, what comes to it goes to the VPC's router, whose programs, such
// as a cluster's kube-proxy, lead it on to instances. Their security groups apply.
type Address struct {
	// ID is "eip-" and 8 hexadecimal digits. Shown, not set.
	ID string `json:"id,omitempty"`
	// Account that owns it. Shown, not set.
	Account string `json:"account,omitempty"`
	// Name is unique among the account's addresses: a DNS label. Default: the ID.
	Name string `json:"name,omitempty"`
	// Labels are the user's own.
	Labels map[string]string `json:"labels,omitempty"`
	// Address of the pool. Default: a free one.
	Address string `json:"address,omitempty"`
	// Instance is the name of the one it is bound to. Shown; bind and unbind change it.
	Instance string `json:"instance,omitempty"`
	// InstanceID is that instance's ID. Shown, not set.
	InstanceID string `json:"instanceID,omitempty"`
	// VPC is the name of the one it is bound to. Shown; bind and unbind change it.
	VPC string `json:"vpc,omitempty"`
	// VPCID is that VPC's ID. Shown, not set.
	VPCID string `json:"vpcID,omitempty"`
	// Auto: it was given to the instance at its create, and goes with it. Shown, not set.
	Auto      bool      `json:"auto,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// Bound says whether the address has a use.
func (a *Address) Bound() bool { return a.InstanceID != "" || a.VPCID != "" }

// AddressBinding says what an address shall be bound to: one of the two.
type AddressBinding struct {
	// Instance by name, ID or the beginning of its ID.
	Instance string `json:"instance,omitempty"`
	// VPC by name or ID.
	VPC string `json:"vpc,omitempty"`
}

// Validate checks an address that is to be made.
func (a *Address) Validate() error {
	var c checker
	c.resource("eip-", a.ID, a.Account, a.Name, a.Labels, a.CreatedAt, 0)
	c.check(a.Name != AutoAddress, "name", "must not be %q, which stands for any address", AutoAddress)
	if a.Address != "" {
		ip, err := netip.ParseAddr(a.Address)
		c.check(err == nil && ip.Is4(), "address", "must be an IPv4 address, not %q", clip(a.Address))
	}
	c.check(a.Instance == "" && a.InstanceID == "", "instance", "is shown, not set: bind the address when it is there")
	c.check(a.VPC == "" && a.VPCID == "", "vpc", "is shown, not set: bind the address when it is there")
	c.check(!a.Auto, "auto", "is shown, not set")
	return Join(c.mistakes)
}

// Validate checks a binding.
func (b *AddressBinding) Validate() error {
	switch {
	case b.Instance != "" && b.VPC != "":
		return FieldError("vpc", "excludes instance: an address is bound to one of them")
	case b.VPC != "" && !isDNSLabel(b.VPC):
		return FieldError("vpc", "must be the name or ID of a VPC")
	case b.VPC == "" && !isDNSLabel(b.Instance):
		return FieldError("instance", "must be the name or ID of an instance")
	}
	return nil
}
