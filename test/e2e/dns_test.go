package e2e

import (
	"strings"

	"cis/api"
)

var dnsTests = tests{
	"servers and searches are added": func(e *env) {
		vpc, subnet := e.aVPC()
		// The name outside is found by its domain; nobody there answers.
		got := e.out("--subnet", subnet, "--dns", "192.0.2.53", "--dns-search", "test", "--", "sh", "-c", "cat /etc/resolv.conf; ping -c 1 -W 1 outside || true")
		for _, line := range []string{"nameserver 169.254.1.1\n", "nameserver 192.0.2.53\n", "search " + vpc + ".internal test\n", "PING outside (192.0.2.10)"} {
			if !strings.Contains(got, line) {
				e.Errorf("there is no %q in:\n%s", line, got)
			}
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
