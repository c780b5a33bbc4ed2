package api

import (
	"fmt"
	"net/netip"
)

// NetworkSpec is an instance's place on the network.
type NetworkSpec struct {
	// VPC by name or ID. Default: that of Subnet, else the default VPC.
	VPC string `json:"vpc,omitempty"`
	// Subnet by name or ID. Default: the only one of the VPC.
	Subnet string `json:"subnet,omitempty"`
	// SecurityGroups by name or ID, at most 8. Default: the default one.
	SecurityGroups []string `json:"securityGroups,omitempty"`
	// Address is a fixed private IPv4 address of the subnet. Default: a free one.
	Address string `json:"address,omitempty"`
	// PublicAddress is the name or ID of a public address to bind, or auto for one that
	// comes and goes with the instance.
	PublicAddress string `json:"publicAddress,omitempty"`
	// Bandwidth limits the traffic.
	Bandwidth Bandwidth `json:"bandwidth,omitzero"`
	// Ports of the host that lead to the instance.
	Ports []PublishedPort `json:"ports,omitempty"`
}

// InstanceGroups are the security groups that an instance shall be in.
type InstanceGroups struct {
	// SecurityGroups by name or ID, 1 to 8.
	SecurityGroups []string `json:"securityGroups"`
}

// Validate checks the list.
func (g *InstanceGroups) Validate() error {
	var c checker
	c.check(len(g.SecurityGroups) > 0, "securityGroups", "must be at least one: an instance is always in a security group")
	c.groups(g.SecurityGroups, "securityGroups")
	return Join(c.mistakes)
}

// AutoAddress asks for a public address that comes and goes with its instance.
const AutoAddress = "auto"

// Bandwidth limits traffic; zero is no limit.
type Bandwidth struct {
	// In is to the instance, Out from it, in bits per second: 100k to 100G.
	In  BitRate `json:"in,omitempty"`
	Out BitRate `json:"out,omitempty"`
}

// PublishedPort is a port of the host that leads to one of an instance.
type PublishedPort struct {
	// HostAddress is an IPv4 or IPv6 address of the host. Default: all of them.
	HostAddress string `json:"hostAddress,omitempty"`
	// HostPort is 1 to 65535. Default: a free one, which the status tells.
	HostPort int `json:"hostPort,omitempty"`
	// Port of the instance, 1 to 65535.
	Port int `json:"port"`
	// Protocol is TCP (default) or UDP.
	Protocol string `json:"protocol,omitempty"`
	// Guarded: the security groups decide who comes in by it, by the client's own address, as at
	// a public address. Otherwise all do.
	Guarded bool `json:"guarded,omitempty"`
}

// DNSPolicy says where an instance's /etc/resolv.conf comes from.
type DNSPolicy string

// The DNS policies. Of Kubernetes' others there is no cluster here to speak of.
const (
	// DNSDefault: the VPC's name server and domain, with DNSConfig added.
	DNSDefault DNSPolicy = "Default"
	// DNSNone: DNSConfig alone.
	DNSNone DNSPolicy = "None"
)

// DNSConfig is added to what the DNS policy gives.
type DNSConfig struct {
	// Nameservers are IP addresses, at most 3 with the VPC's.
	Nameservers []string `json:"nameservers,omitempty"`
	// Searches are domains to search, at most 32 with the VPC's.
	Searches []string `json:"searches,omitempty"`
	// Options of resolv.conf, such as ndots.
	Options []DNSOption `json:"options,omitempty"`
}

// DNSOption is one option of resolv.conf.
type DNSOption struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

const (
	maxGroups         = 8
	maxPublishedPorts = 128
	maxNameservers    = 3
	maxSearches       = 32
	maxHostAliases    = 64
	minBitRate        = 100 * Kbit
	maxBitRate        = 100 * Gbit
)

func (n *NetworkSpec) setDefaults() {
	for i := range n.Ports {
		setDefault(&n.Ports[i].Protocol, "TCP")
	}
}

func (c *checker) network(n *NetworkSpec) {
	c.check(n.VPC == "" || isDNSLabel(n.VPC), "network.vpc", "must be the name or ID of a VPC")
	c.check(n.Subnet == "" || isDNSLabel(n.Subnet), "network.subnet", "must be the name or ID of a subnet")
	c.groups(n.SecurityGroups, "network.securityGroups")
	if n.Address != "" {
		ip, err := netip.ParseAddr(n.Address)
		c.check(err == nil && ip.Is4(), "network.address", "must be an IPv4 address, not %q", clip(n.Address))
	}
	c.check(n.PublicAddress == "" || isDNSLabel(n.PublicAddress), "network.publicAddress", "must be the name or ID of a public address, or %s", AutoAddress)
	c.bitRate(n.Bandwidth.In, "network.bandwidth.in")
	c.bitRate(n.Bandwidth.Out, "network.bandwidth.out")
	c.publishedPorts(n.Ports, "network.ports", maxPublishedPorts)
}

func (c *checker) groups(names []string, field string) {
	c.check(len(names) <= maxGroups, field, "must be at most %d, not %d", maxGroups, len(names))
	seen := map[string]bool{}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", field, i)
		c.check(isDNSLabel(name), at, "must be the name or ID of a security group")
		c.unique(seen, name, at)
	}
}

func (c *checker) bitRate(r BitRate, field string) {
	c.check(r == 0 || minBitRate <= r && r <= maxBitRate, field, "must be %s to %s bits per second, not %s", minBitRate, maxBitRate, r)
}

func (c *checker) publishedPorts(ports []PublishedPort, field string, most int) {
	c.check(len(ports) <= most, field, "must be at most %d, not %d", most, len(ports))
	for i := range ports {
		p, at := &ports[i], fmt.Sprintf("%s[%d]", field, i)
		oneOf(c, p.Protocol, at+".protocol", "TCP", "UDP")
		c.between(int64(p.HostPort), 0, 65535, at+".hostPort")
		c.between(int64(p.Port), 1, 65535, at+".port")
		if p.HostAddress != "" {
			ip, err := netip.ParseAddr(p.HostAddress)
			c.check(err == nil && ip.Zone() == "" && !ip.IsMulticast(), at+".hostAddress", "must be an address of the host, not %q", clip(p.HostAddress))
		}
		for j := range i {
			c.check(!p.Clashes(&ports[j]), at+".hostPort", "%d/%s is used twice", p.HostPort, p.Protocol)
		}
	}
}

// Clashes tells whether two ports would take the same traffic.
func (p *PublishedPort) Clashes(o *PublishedPort) bool {
	return p.HostPort != 0 && p.HostPort == o.HostPort && p.Protocol == o.Protocol &&
		(p.HostAddress == o.HostAddress || p.anyAddress() || o.anyAddress())
}

func (p *PublishedPort) anyAddress() bool {
	ip, err := netip.ParseAddr(p.HostAddress)
	return err != nil || ip.IsUnspecified()
}

func (c *checker) dns(policy DNSPolicy, d *DNSConfig) {
	oneOf(c, policy, "dnsPolicy", DNSDefault, DNSNone)
	var given DNSConfig
	if d != nil {
		given = *d
	}
	ours := 0
	if policy == DNSDefault {
		ours = 1
	}
	c.check(policy != DNSNone || len(given.Nameservers) > 0, "dnsConfig.nameservers", "must have at least one with dnsPolicy None")
	c.check(len(given.Nameservers) <= maxNameservers-ours, "dnsConfig.nameservers", "must be at most %d with dnsPolicy %s", maxNameservers-ours, clip(string(policy)))
	c.check(len(given.Searches) <= maxSearches-ours, "dnsConfig.searches", "must be at most %d with dnsPolicy %s", maxSearches-ours, clip(string(policy)))
	for i, s := range given.Nameservers {
		ip, err := netip.ParseAddr(s)
		c.check(err == nil && ip.Zone() == "", fmt.Sprintf("dnsConfig.nameservers[%d]", i), "must be an IP address, not %q", clip(s))
	}
	for i, s := range given.Searches {
		c.check(isDNSSubdomain(s), fmt.Sprintf("dnsConfig.searches[%d]", i), dnsSubdomainRule)
	}
	for i, o := range given.Options {
		field := fmt.Sprintf("dnsConfig.options[%d]", i)
		c.check(isResolvWord(o.Name) && o.Name != "", field+".name", "must be a word of resolv.conf such as ndots")
		c.check(isResolvWord(o.Value), field+".value", "must be a word without spaces")
	}
}

func (c *checker) hostAliases(aliases []HostAlias) {
	c.check(len(aliases) <= maxHostAliases, "hostAliases", "must be at most %d, not %d", maxHostAliases, len(aliases))
	for i, a := range aliases {
		field := fmt.Sprintf("hostAliases[%d]", i)
		ip, err := netip.ParseAddr(a.IP)
		c.check(err == nil && ip.Zone() == "", field+".ip", "must be an IP address, not %q", clip(a.IP))
		c.check(len(a.Hostnames) > 0 && len(a.Hostnames) <= maxHostAliases, field+".hostnames", "must be 1 to %d names", maxHostAliases)
		for j, name := range a.Hostnames {
			c.check(isDNSSubdomain(name), fmt.Sprintf("%s.hostnames[%d]", field, j), dnsSubdomainRule)
		}
	}
}

// isResolvWord is what an option of resolv.conf can be made of.
func isResolvWord(s string) bool {
	return len(s) <= 64 && each(s, func(c byte) bool { return isAlnum(c) || c == '-' || c == '_' || c == '.' })
}
