package e2e

import (
	"net/netip"
	"strings"
	"testing"

	"cis/api"
)

// TestDualStack joins a gVisor sandbox and a VM by IPv6.
func TestDualStack(t *testing.T) {
	e := networkStage(t, "gvisor", "-standby", "0")
	vpc := e.make("vpc", "--cidr", "10.9.0.0/16")
	subnet := e.make("subnet", "--vpc", vpc, "--cidr", "10.9.1.0/24", "--ipv6")
	group := e.make("secgroup", "--ingress", "tcp:"+port1, "--ingress", "icmpv6:128", "--ingress", "udp:"+port1+",fd00::/8")
	whole, err := netip.ParsePrefix(read[api.Subnet](e, "subnet", "inspect", subnet).CIDR6)
	if err != nil {
		t.Fatal(err)
	}
	gvisor, _ := e.echo("--subnet", subnet, "--secgroup", group)
	e.isolation = "vm"
	vm, _ := e.echo("--subnet", subnet, "--secgroup", group)

	for _, pair := range [][2]string{{gvisor, vm}, {vm, gvisor}} {
		from, to := pair[0], pair[1]
		address, source := e.get(to).Status.Address6, e.get(from).Status.Address6
		if ip, err := netip.ParseAddr(address); err != nil || !whole.Contains(ip) {
			e.Errorf("%s has address %q, which is not in %s", to, address, whole)
		}
		e.equal("TCP over IPv6, and as whom", e.greeting(from, address, port1), to+" "+source)
		if got := e.cis("exec", from, "ping6", "-c", "1", "-W", "5", address).Stdout; !strings.Contains(got, "1 packets received") {
			e.Errorf("%s pings %s: %s", from, address, got)
		}
		e.isCutOff(from, address, port2)
		if got := e.cis("exec", from, "nslookup", "-type=aaaa", to).Stdout; !strings.Contains(got, address) {
			e.Errorf("the name %s: %s", to, got)
		}
		v := e.verdict(from, address, port1+"/udp")
		if !v.Allowed || v.Tried != api.TryAnswered {
			e.Errorf("UDP over IPv6: %+v", v)
		}
	}
}
