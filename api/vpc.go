package api

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// DefaultName is the name of the VPC, subnet and security group that are always
// there, and that instances get unless they name others.
const DefaultName = "default"

// VPC is a private network: its instances reach each other over any of its subnets,
// and nothing of another VPC.
type VPC struct {
	// ID is "vpc-" and 8 hexadecimal digits. Shown, not set.
	ID string `json:"id,omitempty"`
	// Account that owns it. Shown, not set.
	Account string `json:"account,omitempty"`
	// Name is unique among the account's VPCs: a DNS label. Names of instances in it end in
	// .NAME.internal.
	Name string `json:"name"`
	// Labels are the user's own.
	Labels map[string]string `json:"labels,omitempty"`
	// CIDR is the private IPv4 range of its subnets, /8 to /28. It never changes. VPCs may
	// have equal ranges.
	CIDR string `json:"cidr"`
	// CIDR6 is its own unique local IPv6 range. Shown, not set.
	CIDR6 string `json:"cidr6,omitempty"`
	// HostReachable lets the host itself connect to the instances. The ranges of such
	// VPCs must not overlap.
	HostReachable bool `json:"hostReachable,omitempty"`
	// Egress says what its instances reach outside.
	Egress Egress `json:"egress,omitzero"`
	// Ports are ports of the host that lead to the VPC's router, for programs that who runs
	// the host has in its namespace, such as a cluster's kube-proxy; at most 1000.
	Ports []PublishedPort `json:"ports,omitempty"`
	// Routes are private IPv4 networks, /8 to /30, that the host reaches over the router, such
	// as that of a cluster's Services; at most 16.
	Routes    []string  `json:"routes,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// Revision grows with every change. Shown, not set.
	Revision int64 `json:"revision,omitempty"`
}

// EgressMode says whether instances of a VPC reach the outside.
type EgressMode string

// The egress modes.
const (
	// EgressOn: everything outside, but for the host's own and link-local addresses.
	EgressOn EgressMode = "on"
	// EgressOff: nothing outside.
	EgressOff EgressMode = "off"
	// EgressRules: what the rules allow.
	EgressRules EgressMode = "rules"
)

// Egress says what the instances of a VPC reach outside of it, by NAT.
type Egress struct {
	// Mode is on (default), off or rules.
	Mode EgressMode `json:"mode,omitempty"`
	// Allow lists what passes in mode rules. In mode on it opens addresses that are closed
	// otherwise: the host's own and link-local ones.
	Allow []Rule `json:"allow,omitempty"`
}

// VPCUpdate changes a VPC; what it leaves out stays.
type VPCUpdate struct {
	Labels        map[string]string `json:"labels,omitzero"`
	HostReachable *bool             `json:"hostReachable,omitempty"`
	Egress        *Egress           `json:"egress,omitempty"`
	Ports         []PublishedPort   `json:"ports,omitzero"`
	Routes        []string          `json:"routes,omitzero"`
	// Revision, when set, is the one that the change was made for: any other is a conflict.
	Revision int64 `json:"revision,omitempty"`
}

// Default fills in what the VPC leaves out.
func (v *VPC) Default() {
	v.Egress.setDefaults()
	setRouterPortDefaults(v.Ports)
}

// setRouterPortDefaults lets a port lead to the same one of the router.
func setRouterPortDefaults(ports []PublishedPort) {
	for i := range ports {
		setDefault(&ports[i].Protocol, "TCP")
		setDefault(&ports[i].Port, ports[i].HostPort)
	}
}

func (e *Egress) setDefaults() {
	setDefault(&e.Mode, EgressOn)
	setRuleDefaults(e.Allow)
}

// Default fills in what the rules and ports leave out.
func (u *VPCUpdate) Default() {
	setRouterPortDefaults(u.Ports)
	if u.Egress != nil {
		u.Egress.setDefaults()
	}
}

// Validate checks a VPC that is to be made.
func (v *VPC) Validate() error {
	var c checker
	c.resource("vpc-", v.ID, v.Account, v.Name, v.Labels, v.CreatedAt, v.Revision)
	c.check(v.Name != "", "name", dnsLabelRule)
	c.check(v.CIDR6 == "", "cidr6", "is shown, not set: every VPC gets its own range")
	if p, ok := c.cidr4(v.CIDR, "cidr"); ok {
		c.check(isPrivate(p), "cidr", "must be in %s, not %s", privateRule, p)
		c.check(p.Bits() >= 8 && p.Bits() <= 28, "cidr", "must be from /8 to /28, not /%d", p.Bits())
	}
	c.egress(&v.Egress, "egress")
	c.routerPorts(v.Ports)
	c.routes(v.Routes)
	return Join(c.mistakes)
}

// Validate checks a change.
func (u *VPCUpdate) Validate() error {
	var c checker
	c.labels(u.Labels)
	if u.Egress != nil {
		c.egress(u.Egress, "egress")
	}
	c.routerPorts(u.Ports)
	c.routes(u.Routes)
	return Join(c.mistakes)
}

func (c *checker) egress(e *Egress, field string) {
	oneOf(c, e.Mode, field+".mode", EgressOn, EgressOff, EgressRules)
	c.check(e.Mode != EgressOff || len(e.Allow) == 0, field+".allow", "excludes mode off: use mode rules")
	c.rules(e.Allow, field+".allow")
	for i, r := range e.Allow {
		c.check(r.SecurityGroup == "", fmt.Sprintf("%s.allow[%d].securityGroup", field, i), "is not for what is outside; use cidr")
	}
}

const maxRouterPorts, maxRoutes = 1000, 16

// routerPorts checks ports that lead to a VPC's router, each to one of its own.
func (c *checker) routerPorts(ports []PublishedPort) {
	c.publishedPorts(ports, "ports", maxRouterPorts)
	seen := map[string]bool{}
	for i, p := range ports {
		at := fmt.Sprintf("ports[%d]", i)
		c.check(!p.Guarded, at+".guarded", "is for ports of instances: a router has no security groups")
		c.check(p.HostPort != 0, at+".hostPort", "must be 1 to 65535: no free one is chosen")
		c.unique(seen, fmt.Sprintf("%d/%s", p.Port, p.Protocol), at+".port")
	}
}

func (c *checker) routes(routes []string) {
	c.check(len(routes) <= maxRoutes, "routes", "must be at most %d, not %d", maxRoutes, len(routes))
	for i, r := range routes {
		field := fmt.Sprintf("routes[%d]", i)
		if p, ok := c.cidr4(r, field); ok {
			c.check(isPrivate(p), field, "must be in %s, not %s", privateRule, p)
			c.check(p.Bits() >= 8 && p.Bits() <= 30, field, "must be from /8 to /30, not /%d", p.Bits())
		}
	}
}

// resource checks what all kinds of the network's resources have in common.
func (c *checker) resource(prefix, id, account, name string, labels map[string]string, created time.Time, revision int64) {
	c.check(id == "", "id", "is shown, not set")
	c.check(account == "", "account", "is shown, not set")
	c.check(name == "" || isDNSLabel(name), "name", dnsLabelRule)
	c.check(!strings.HasPrefix(name, prefix), "name", "must not begin with %s, as IDs do", prefix)
	c.labels(labels)
	c.check(created.IsZero(), "createdAt", "is shown, not set")
	c.check(revision == 0, "revision", "is shown, not set")
}

const privateRule = "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10"

// isPrivate tells whether a range is one that nobody has in the Internet (RFC 1918, RFC 6598).
func isPrivate(p netip.Prefix) bool {
	shared := netip.MustParsePrefix("100.64.0.0/10")
	inner := p.Addr().IsPrivate() && p.Bits() >= 8 || shared.Contains(p.Addr()) && p.Bits() >= shared.Bits()
	last := lastAddress(p)
	return inner && (last.IsPrivate() || shared.Contains(last))
}

// lastAddress of an IPv4 range.
func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := range 32 - p.Bits() {
		b[3-i/8] |= 1 << (i % 8)
	}
	return netip.AddrFrom4(b)
}

// cidr4 checks an IPv4 range.
func (c *checker) cidr4(s, field string) (netip.Prefix, bool) {
	p, ok := c.cidr(s, field)
	if ok && !p.Addr().Is4() {
		c.bad(field, "must be an IPv4 range such as 10.1.0.0/16, not %s", p)
		return p, false
	}
	return p, ok
}

// cidr checks a range of either family.
func (c *checker) cidr(s, field string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		c.bad(field, "must be a range of addresses such as 10.1.0.0/16, not %q", clip(s))
		return p, false
	case p.Masked() != p:
		_ = c.bad(field, "%s has bits set beyond its length", p).WithNext("did you mean %s?", p.Masked())
		return p, false
	case p.Addr().Is4In6():
		_ = c.bad(field, "%s must be written as an IPv4 range", p)
		return p, false
	}
	return p, true
}
