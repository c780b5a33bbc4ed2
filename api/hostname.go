package api

// maxHostname is what Linux keeps of a host's name, in characters.
const maxHostname = 64

const hostnameRule = "must be at most 64 lower-case letters, digits, '-' and '.', each part with a letter or digit at both ends"

// FQDN is the full name of the host that programs see; empty: there is no domain.
func (s *InstanceSpec) FQDN() string {
	if s.Domain == "" {
		return ""
	}
	return s.Hostname + "." + s.Domain
}

// NodeName is what programs are told as the name of their host.
func (s *InstanceSpec) NodeName() string {
	if s.SetHostnameAsFQDN {
		return s.FQDN()
	}
	return s.Hostname
}

func (c *checker) hostname(s *InstanceSpec) {
	// A hostname that is the name by default is not a mistake of its own.
	c.check(s.Hostname == s.Name || len(s.Hostname) <= maxHostname && isDNSSubdomain(s.Hostname), "hostname", hostnameRule)
	c.check(s.Domain == "" || isDNSSubdomain(s.Domain), "domain", dnsSubdomainRule)
	if s.SetHostnameAsFQDN {
		c.check(s.Domain != "" && s.Hostname != "", "setHostnameAsFQDN", "needs domain, and hostname or name")
		c.check(len(s.FQDN()) <= maxHostname, "setHostnameAsFQDN", "%s has %d characters; a host's name has at most %d", clip(s.FQDN()), len(s.FQDN()), maxHostname)
	}
}
