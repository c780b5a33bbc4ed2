package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// SecurityGroup is a stateful firewall of the instances that name it: what no rule of any
// of their groups allows does not pass, and answers to what passed do.
type SecurityGroup struct {
	// ID is "sg-" and 8 hexadecimal digits. Shown, not set.
	ID string `json:"id,omitempty"`
	// Account that owns it. Shown, not set.
	Account string `json:"account,omitempty"`
	// Name is unique among the account's security groups: a DNS label.
	Name string `json:"name"`
	// Description is for people, at most 128 bytes.
	Description string `json:"description,omitempty"`
	// Labels are the user's own.
	Labels map[string]string `json:"labels,omitempty"`
	// Ingress rules let connections in. Default: from instances of the same group. An empty
	// list: none.
	Ingress []Rule `json:"ingress,omitzero"`
	// Egress rules let connections out. Default: everything. An empty list: none.
	Egress    []Rule    `json:"egress,omitzero"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
	// Revision grows with every change. Shown, not set.
	Revision int64 `json:"revision,omitempty"`
}

// Protocol is what a rule is about.
type Protocol string

// The protocols of rules.
const (
	ProtocolAny    Protocol = "any"
	ProtocolTCP    Protocol = "tcp"
	ProtocolUDP    Protocol = "udp"
	ProtocolICMP   Protocol = "icmp"
	ProtocolICMPv6 Protocol = "icmpv6"
)

// Rule allows traffic. Of CIDR and SecurityGroup at most one is set; neither means
// everyone, over IPv4 and IPv6.
type Rule struct {
	// Protocol is any (default), tcp, udp, icmp or icmpv6.
	Protocol Protocol `json:"protocol,omitempty"`
	// Ports of tcp and udp: one such as 80, a range such as 8000-8999, or nothing for all.
	Ports string `json:"ports,omitempty"`
	// ICMPType of icmp and icmpv6, 0 to 255. Left out: all.
	ICMPType *int `json:"icmpType,omitempty"`
	// CIDR of the other side: where ingress comes from, where egress goes.
	CIDR string `json:"cidr,omitempty"`
	// SecurityGroup, by name or ID, of the other side: instances of it in the same VPC.
	SecurityGroup string `json:"securityGroup,omitempty"`
	// Description is for people, at most 128 characters.
	Description string `json:"description,omitempty"`
}

// SecurityGroupUpdate changes a security group; what it leaves out stays, and an empty list
// of rules removes them all.
type SecurityGroupUpdate struct {
	Description *string           `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitzero"`
	Ingress     []Rule            `json:"ingress,omitzero"`
	Egress      []Rule            `json:"egress,omitzero"`
	// Revision, when set, is the one that the change was made for: any other is a conflict.
	Revision int64 `json:"revision,omitempty"`
}

// maxRules bounds the rules of one direction of a group.
const maxRules = 1000

// Default fills in what the group leaves out.
func (g *SecurityGroup) Default() {
	if g.Ingress == nil {
		g.Ingress = []Rule{{SecurityGroup: g.Name}}
	}
	if g.Egress == nil {
		g.Egress = []Rule{{}}
	}
	setRuleDefaults(g.Ingress)
	setRuleDefaults(g.Egress)
}

// Default fills in what the rules leave out.
func (u *SecurityGroupUpdate) Default() {
	setRuleDefaults(u.Ingress)
	setRuleDefaults(u.Egress)
}

func setRuleDefaults(rules []Rule) {
	for i := range rules {
		setDefault(&rules[i].Protocol, ProtocolAny)
	}
}

// Validate checks a group that is to be made.
func (g *SecurityGroup) Validate() error {
	var c checker
	c.resource("sg-", g.ID, g.Account, g.Name, g.Labels, g.CreatedAt, g.Revision)
	c.check(g.Name != "", "name", dnsLabelRule)
	c.description(g.Description, "description")
	c.rules(g.Ingress, "ingress")
	c.rules(g.Egress, "egress")
	return Join(c.mistakes)
}

// Validate checks a change.
func (u *SecurityGroupUpdate) Validate() error {
	var c checker
	if u.Description != nil {
		c.description(*u.Description, "description")
	}
	c.labels(u.Labels)
	c.rules(u.Ingress, "ingress")
	c.rules(u.Egress, "egress")
	return Join(c.mistakes)
}

func (c *checker) rules(rules []Rule, field string) {
	c.check(len(rules) <= maxRules, field, "must have at most %d rules, not %d", maxRules, len(rules))
	for i := range rules[:min(len(rules), maxRules)] {
		c.rule(&rules[i], fmt.Sprintf("%s[%d]", field, i))
	}
}

func (c *checker) rule(r *Rule, field string) {
	oneOf(c, r.Protocol, field+".protocol", ProtocolAny, ProtocolTCP, ProtocolUDP, ProtocolICMP, ProtocolICMPv6)
	isICMP := r.Protocol == ProtocolICMP || r.Protocol == ProtocolICMPv6
	if _, _, err := r.PortRange(); err != nil {
		c.bad(field+".ports", "%s", err.Error())
	}
	c.check(r.Ports == "" || r.Protocol != ProtocolAny && !isICMP, field+".ports", "is for protocol tcp and udp, not %s", clip(string(r.Protocol)))
	if r.ICMPType != nil {
		c.check(isICMP, field+".icmpType", "is for protocol icmp and icmpv6, not %s", clip(string(r.Protocol)))
		c.between(int64(*r.ICMPType), 0, 255, field+".icmpType")
	}
	if r.CIDR != "" {
		p, ok := c.cidr(r.CIDR, field+".cidr")
		c.check(!ok || r.Protocol != ProtocolICMP || p.Addr().Is4(), field+".cidr", "must be IPv4 for icmp; use icmpv6 for %s", p)
		c.check(!ok || r.Protocol != ProtocolICMPv6 || p.Addr().Is6(), field+".cidr", "must be IPv6 for icmpv6; use icmp for %s", p)
		c.check(r.SecurityGroup == "", field+".securityGroup", "excludes cidr; use two rules")
	}
	c.check(r.SecurityGroup == "" || isDNSLabel(r.SecurityGroup), field+".securityGroup", "must be the name or ID of a security group")
	c.description(r.Description, field+".description")
}

func (c *checker) description(s, field string) {
	c.check(len(s) <= 128 && !hasControl(s), field, "must be at most 128 bytes without control characters")
}

// PortRange reads Ports; 0 to 0 stands for all.
func (r *Rule) PortRange() (first, last uint16, err error) {
	if r.Ports == "" {
		return 0, 0, nil
	}
	low, high, ranged := strings.Cut(r.Ports, "-")
	if !ranged {
		high = low
	}
	a, errA := strconv.ParseUint(low, 10, 16)
	b, errB := strconv.ParseUint(high, 10, 16)
	if errA != nil || errB != nil || a == 0 || a > b {
		return 0, 0, fmt.Errorf("must be a port such as 80 or a range such as 8000-8999, from 1 to 65535, not %q", clip(r.Ports))
	}
	return uint16(a), uint16(b), nil
}
