package e2e

import (
	"strings"

	"cis/api"
)

var dnsTests = tests{
	"servers and searches are added": func(e *env) {
		vpc, subnet := e.aVPC()
		got := e.out("--subnet", subnet, "--dns", "192.0.2.53", "--dns-search", "test", "--", "cat", "/etc/resolv.conf")
		for _, line := range []string{"nameserver 169.254.1.1", "nameserver 192.0.2.53", "search " + vpc + ".internal test"} {
			if !strings.Contains(got+"\n", line+"\n") {
				e.Errorf("resolv.conf has no line %q:\n%s", line, got)
			}
		}
		if got := e.run("--dns-search", "test", "--", "ping", "-c", "1", "-W", "1", "outside"); !strings.Contains(got.Stdout, "192.0.2.10") {
			e.Errorf("a name in the domain to search: %+v", got)
		}
	},
	"policy None leaves all to the instance": func(e *env) {
		name := e.create(api.InstanceSpec{DNSPolicy: api.DNSNone, Containers: []api.Container{e.sh("cat /etc/resolv.conf")},
			DNSConfig: &api.DNSConfig{Nameservers: []string{"192.0.2.53"}, Searches: []string{"a.test"}, Options: []api.DNSOption{{Name: "ndots", Value: "3"}}}})
		e.ended(name)
		got := e.logs(name)
		for _, line := range []string{"nameserver 192.0.2.53", "search a.test", "options ndots:3"} {
			if !strings.Contains(got, line) {
				e.Errorf("resolv.conf has no %q:\n%s", line, got)
			}
		}
		if strings.Contains(got, "169.254.1.1") || strings.Contains(got, "internal") {
			e.Errorf("resolv.conf has what is the VPC's:\n%s", got)
		}
	},
}
