package vpc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

// protocols by the product's names, in lower case.
var protocols = map[string]api.Protocol{"": api.ProtocolAny, "all": api.ProtocolAny, "tcp": api.ProtocolTCP, "udp": api.ProtocolUDP,
	"icmp": api.ProtocolICMP, "icmpv6": api.ProtocolICMPv6}

// protocolNames are the product's.
var protocolNames = map[api.Protocol]string{api.ProtocolAny: "ALL", api.ProtocolTCP: "TCP", api.ProtocolUDP: "UDP",
	api.ProtocolICMP: "ICMP", api.ProtocolICMPv6: "ICMPv6"}

const setPath = "SecurityGroupPolicySet"

// direction is one of a group's two lists of rules, and what a request says of it.
type direction struct {
	path     string
	rules    []api.Rule
	policies []SecurityGroupPolicy
}

func directions(g api.SecurityGroup, s *SecurityGroupPolicySet) []direction {
	return []direction{{setPath + ".Ingress", slices.Clone(g.Ingress), s.Ingress}, {setPath + ".Egress", slices.Clone(g.Egress), s.Egress}}
}

// changePolicies finds a group and lets fn make of each direction what it shall be.
func (p *product) changePolicies(ctx context.Context, id string, s *SecurityGroupPolicySet, fn func(*direction, peers) error) (*cloud.Nothing, error) {
	g, err := p.findGroup(ctx, id)
	if err != nil {
		return nil, err
	}
	groups, err := p.peers(ctx)
	if err != nil {
		return nil, err
	}
	both := directions(g, s)
	for i := range both {
		if err := fn(&both[i], groups); err != nil {
			return nil, err
		}
	}
	// For the revision that was read: positions mean nothing in another.
	u := api.SecurityGroupUpdate{Ingress: both[0].rules, Egress: both[1].rules, Revision: g.Revision}
	if s.Version != nil && *s.Version != 0 {
		u.Revision = int64(*s.Version)
	}
	return &cloud.Nothing{}, p.changeGroup(ctx, g.ID, u)
}

func (p *product) createPolicies(ctx context.Context, r *CreateSecurityGroupPoliciesRequest) (*cloud.Nothing, error) {
	if err := r.SecurityGroupPolicySet.notEmpty(); err != nil {
		return nil, err
	}
	return p.changePolicies(ctx, r.SecurityGroupId, r.SecurityGroupPolicySet, func(d *direction, groups peers) error {
		for i, policy := range d.policies {
			path := fmt.Sprintf("%s.%d", d.path, i)
			rule, err := policy.rule(path, groups)
			if err != nil {
				return err
			}
			at := int64(len(d.rules))
			if policy.PolicyIndex != nil {
				if at = *policy.PolicyIndex; at < 0 || at > int64(len(d.rules)) {
					return cloud.Bad(path+".PolicyIndex", "must be 0 to %d, not %d", len(d.rules), at)
				}
			}
			d.rules = slices.Insert(d.rules, int(at), rule)
		}
		return nil
	})
}

func (s *SecurityGroupPolicySet) notEmpty() error {
	if len(s.Ingress)+len(s.Egress) == 0 {
		return cloud.Errorf(cloud.MissingParameter, "%s: must have Ingress or Egress policies", setPath)
	}
	return nil
}

func (p *product) deletePolicies(ctx context.Context, r *DeleteSecurityGroupPoliciesRequest) (*cloud.Nothing, error) {
	if err := r.SecurityGroupPolicySet.notEmpty(); err != nil {
		return nil, err
	}
	return p.changePolicies(ctx, r.SecurityGroupId, r.SecurityGroupPolicySet, func(d *direction, groups peers) error {
		gone := map[int]bool{}
		for i, policy := range d.policies {
			at, err := policy.position(fmt.Sprintf("%s.%d", d.path, i), d.rules, gone, groups)
			if err != nil {
				return err
			}
			gone[at] = true
		}
		kept := []api.Rule{}
		for i, rule := range d.rules {
			if !gone[i] {
				kept = append(kept, rule)
			}
		}
		d.rules = kept
		return nil
	})
}

// position is that of the rule that a policy means: by its index, or the first like it.
func (s SecurityGroupPolicy) position(path string, rules []api.Rule, gone map[int]bool, groups peers) (int, error) {
	if s.PolicyIndex != nil {
		at := *s.PolicyIndex
		if at < 0 || at >= int64(len(rules)) || gone[int(at)] {
			return 0, cloud.Errorf(cloud.ResourceNotFound, "%s.PolicyIndex: there is no policy %d", path, at)
		}
		return int(at), nil
	}
	want, err := s.rule(path, groups)
	if err != nil {
		return 0, err
	}
	for i, rule := range rules {
		if same := rule; !gone[i] && rule.ICMPType == nil {
			if s.PolicyDescription == "" {
				same.Description = ""
			}
			if same == want {
				return i, nil
			}
		}
	}
	return 0, cloud.Errorf(cloud.ResourceNotFound, "%s: there is no such policy", path)
}

func (p *product) modifyPolicies(ctx context.Context, r *ModifySecurityGroupPoliciesRequest) (*cloud.Nothing, error) {
	s := r.SecurityGroupPolicySet
	clear := s.Version != nil && *s.Version == 0
	if !clear {
		if err := s.notEmpty(); err != nil {
			return nil, err
		}
	}
	return p.changePolicies(ctx, r.SecurityGroupId, s, func(d *direction, groups peers) error {
		d.rules = []api.Rule{}
		for i, policy := range d.policies {
			path := fmt.Sprintf("%s.%d", d.path, i)
			if policy.PolicyIndex != nil {
				return cloud.Bad(path+".PolicyIndex", "is not for this action: the policies take the places of all that there are")
			}
			rule, err := policy.rule(path, groups)
			if err != nil {
				return err
			}
			if !clear {
				d.rules = append(d.rules, rule)
			}
		}
		return nil
	})
}

// peers are the names of security groups by their IDs.
type peers map[string]string

func (p *product) peers(ctx context.Context) (peers, error) {
	all, err := p.engine.SecurityGroups(ctx)
	out := peers{}
	for _, g := range all {
		out[g.ID] = g.Name
	}
	return out, err
}

// rule is what a policy asks for.
func (s SecurityGroupPolicy) rule(path string, groups peers) (r api.Rule, err error) {
	protocol, ok := protocols[strings.ToLower(s.Protocol)]
	if !ok {
		return r, cloud.Bad(path+".Protocol", "must be TCP, UDP, ICMP, ICMPv6 or ALL")
	}
	r = api.Rule{Protocol: protocol, Description: s.PolicyDescription}
	if !strings.EqualFold(s.Port, "all") {
		r.Ports = s.Port
	}
	if strings.Contains(r.Ports, ",") {
		return r, cloud.Bad(path+".Port", "must be one port or one range; make a policy for each")
	}
	given := 0
	for _, one := range []string{s.CidrBlock, s.Ipv6CidrBlock, s.SecurityGroupId} {
		if one != "" {
			given++
		}
	}
	if given != 1 {
		return r, cloud.Bad(path, "must have exactly one of CidrBlock, Ipv6CidrBlock and SecurityGroupId, not %d", given)
	}
	switch {
	case s.SecurityGroupId != "":
		if r.SecurityGroup, ok = groups[s.SecurityGroupId]; !ok {
			return r, cloud.Errorf(cloud.ResourceNotFound, "%s.SecurityGroupId: there is no such security group", path)
		}
	case s.CidrBlock != "":
		r.CIDR, err = block(path+".CidrBlock", s.CidrBlock, netip.Addr.Is4)
	default:
		r.CIDR, err = block(path+".Ipv6CidrBlock", s.Ipv6CidrBlock, netip.Addr.Is6)
	}
	return r, err
}

// block reads a range or an address of a family.
func block(path, s string, family func(netip.Addr) bool) (string, error) {
	p, err := netip.ParsePrefix(s)
	if ip, ipErr := netip.ParseAddr(s); ipErr == nil && ip.Zone() == "" {
		p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	if err != nil || !family(p.Addr()) {
		return "", cloud.Bad(path, "must be a range or an address of its family, such as 10.0.0.0/8 or fd00::/8")
	}
	if p.Addr().IsUnspecified() {
		p = p.Masked()
	}
	return p.String(), nil
}

func (p *product) describePolicies(ctx context.Context, r *DescribeSecurityGroupPoliciesRequest) (*DescribeSecurityGroupPoliciesResponse, error) {
	g, err := p.findGroup(ctx, r.SecurityGroupId)
	if err != nil {
		return nil, err
	}
	all, err := p.engine.SecurityGroups(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, other := range all {
		ids[other.Name] = other.ID
	}
	set := &SecurityGroupPolicySet{Version: new(cloud.Number(g.Revision)), PolicyStatistics: statistics(g)}
	if set.Ingress, err = r.shown(g.Ingress, ids, "INBOUND"); err == nil {
		set.Egress, err = r.shown(g.Egress, ids, "OUTBOUND")
	}
	return &DescribeSecurityGroupPoliciesResponse{set}, err
}

// shown are the rules of a direction that pass the filters.
func (r *DescribeSecurityGroupPoliciesRequest) shown(rules []api.Rule, ids map[string]string, direction string) ([]SecurityGroupPolicy, error) {
	var filters []cloud.Filter
	for _, f := range r.Filters {
		filters = append(filters, cloud.Filter(f))
	}
	all := func(v string) bool { return strings.EqualFold(v, "ALL") }
	pass, err := cloud.Match(filters, "Values", map[string]cloud.Property[SecurityGroupPolicy]{
		"security-group-id": func(p SecurityGroupPolicy, v string) bool { return p.SecurityGroupId == v },
		"ip": func(p SecurityGroupPolicy, v string) bool {
			return strings.Contains(p.CidrBlock, v) || strings.Contains(p.Ipv6CidrBlock, v)
		},
		"protocol-type": func(p SecurityGroupPolicy, v string) bool { return strings.EqualFold(p.Protocol, v) },
		"port": func(p SecurityGroupPolicy, v string) bool {
			return all(v) && p.Port == "ALL" || strings.Contains(p.Port, v)
		},
		"poly":        func(p SecurityGroupPolicy, v string) bool { return all(v) || v == p.Action },
		"direction":   func(_ SecurityGroupPolicy, v string) bool { return all(v) || v == direction },
		"description": func(p SecurityGroupPolicy, v string) bool { return strings.Contains(p.PolicyDescription, v) },
	})
	if err != nil {
		return nil, err
	}
	policies := []SecurityGroupPolicy{}
	for i, rule := range rules {
		if p := policyOf(rule, i, ids); pass(p) {
			policies = append(policies, p)
		}
	}
	return policies, nil
}

// policyOf shows a rule. One for everyone is of both families.
func policyOf(r api.Rule, at int, ids map[string]string) SecurityGroupPolicy {
	p := SecurityGroupPolicy{PolicyIndex: new(int64(at)), Protocol: protocolNames[r.Protocol], Port: "ALL", Action: "ACCEPT",
		SecurityGroupId: ids[r.SecurityGroup], PolicyDescription: r.Description}
	if r.Ports != "" {
		p.Port = r.Ports
	}
	v4, v6 := families(r)
	switch {
	case r.SecurityGroup != "":
	case v4 && v6:
		p.CidrBlock, p.Ipv6CidrBlock = "0.0.0.0/0", "::/0"
	case v4:
		p.CidrBlock = r.CIDR
	default:
		p.Ipv6CidrBlock = r.CIDR
	}
	return p
}

// families tells for which a rule is.
func families(r api.Rule) (v4, v6 bool) {
	if r.CIDR == "" {
		return true, true
	}
	p, _ := netip.ParsePrefix(r.CIDR)
	return p.Addr().Is4(), p.Addr().Is6()
}

func statistics(g api.SecurityGroup) *PolicyStatistics {
	out := &PolicyStatistics{}
	count := func(rules []api.Rule, four, six *int64) {
		for _, r := range rules {
			v4, v6 := families(r)
			if v4 {
				*four++
			}
			if v6 {
				*six++
			}
		}
	}
	count(g.Ingress, &out.IngressIPv4TotalCount, &out.IngressIPv6TotalCount)
	count(g.Egress, &out.EgressIPv4TotalCount, &out.EgressIPv6TotalCount)
	return out
}
