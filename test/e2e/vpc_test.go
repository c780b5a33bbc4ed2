package e2e

import (
	"net/netip"
	"strings"

	"cis/api"
)

var vpcTests = tests{
	"each kind is made, listed, inspected and removed": func(e *env) {
		vpc := e.make("vpc", "--cidr", "10.7.0.0/16", "--label", "team=blue")
		made := map[string]string{
			"vpc":      vpc,
			"subnet":   e.make("subnet", "--vpc", vpc, "--cidr", "10.7.1.0/24", "--ipv6"),
			"secgroup": e.make("secgroup", "--ingress", "tcp:80", "--ingress", "icmp:8,10.0.0.0/8", "--egress", "none"),
			"address":  e.make("address"),
		}
		ids := map[string]string{"vpc": "vpc-", "subnet": "subnet-", "secgroup": "sg-", "address": "eip-"}
		for _, kind := range []string{"address", "secgroup", "subnet", "vpc"} {
			name := made[kind]
			type named struct{ ID, Name string }
			one := read[named](e, kind, "inspect", name)
			if one.Name != name || !strings.HasPrefix(one.ID, ids[kind]) {
				e.Errorf("%s inspect %s: %+v", kind, name, one)
			}
			e.equal(kind+" by ID", read[named](e, kind, "inspect", one.ID), one)
			listed := 0
			for _, other := range read[[]named](e, kind, "list") {
				if other == one {
					listed++
				}
			}
			e.equal("times that "+kind+" list has it", listed, 1)
			if text := e.ok(kind, "inspect", name); !strings.Contains(text, one.ID) {
				e.Errorf("%s inspect does not say %s but:\n%s", kind, one.ID, text)
			}
			if text := e.ok(kind, "list"); !strings.Contains(text, name) {
				e.Errorf("%s list does not say %s but:\n%s", kind, name, text)
			}
			again := map[string]string{"vpc": "--cidr 10.7.0.0/16", "subnet": "--vpc " + vpc + " --cidr 10.7.2.0/24"}[kind]
			e.fails(1, []string{name, "exists"}, append([]string{kind, "create", name}, strings.Fields(again)...)...)
			e.equal("removed", e.ok(kind, "rm", name), name+"\n")
			e.fails(1, []string{"there is no", name}, kind, "inspect", name)
		}
		e.fails(1, []string{"always there"}, "vpc", "rm", "default")
		e.fails(1, []string{"always there"}, "subnet", "rm", "default")
		e.fails(1, []string{"always there"}, "secgroup", "rm", "default")
	},
	"mistakes name the field": func(e *env) {
		vpc, subnet := e.aVPC()
		for _, test := range []struct{ args, says string }{
			{"vpc create bad --cidr 8.8.8.0/24", "cidr"},
			{"vpc create bad --cidr 10.1.0.1/16", "did you mean 10.1.0.0/16"},
			{"vpc create bad", "cidr"},
			{"vpc create Bad --cidr 10.1.0.0/16", "name"},
			{"vpc create bad --cidr 10.1.0.0/16 --egress maybe", "egress.mode"},
			{"vpc create bad --cidr 10.1.0.0/16 --egress rules --allow tcp:99999", "egress.allow[0].ports"},
			{"vpc update " + vpc + " --egress off --allow tcp:1", "egress.allow"},
			{"subnet create bad --vpc nosuch --cidr 10.9.2.0/24", "vpc"},
			{"subnet create bad --vpc " + vpc + " --cidr 10.8.0.0/24", "cidr"},
			{"subnet create bad --vpc " + vpc + " --cidr 10.9.1.128/25", "overlaps 10.9.1.0/24 of subnet " + subnet},
			{"secgroup create bad --ingress tcp:80,nosuch", "ingress[0].securityGroup"},
			{"secgroup create bad --ingress icmp:300", "ingress[0].icmpType"},
			{"secgroup rule add default sideways tcp:1", "direction"},
			{"secgroup rule rm default ingress 9", "there are 1"},
			{"address create --address 203.0.113.1", "not in this cisd's pool"},
			{"address bind nosuch nosuch", "nosuch"},
			{"vpc flows nosuch", "nosuch"},
			{"net check nosuch nosuch 80", "from"},
		} {
			e.saysWrong(test.says, strings.Fields(test.args)...)
		}
		for flags, says := range map[string]string{
			"--vpc nosuch": "network.vpc", "--subnet nosuch": "network.subnet", "--secgroup nosuch": "network.securityGroups",
			"--vpc default --subnet " + subnet: "network.subnet", "--subnet " + subnet + " --ip 10.9.2.2": "network.address",
			"--subnet " + subnet + " --ip 10.9.1.1": "network.address", "--public-address nosuch": "network.publicAddress",
			"--bandwidth-in 5": "network.bandwidth.in", "-p 127.0.0.1:1:0": "--publish", "--dns nonsense": "dnsConfig.nameservers[0]",
		} {
			e.saysWrong(says, append(strings.Fields("run --rm "+flags), e.stage.Image, "true")...)
		}
	},
	"what is in use is kept, and its user named": func(e *env) {
		vpc, subnet := e.aVPC()
		group := e.make("secgroup")
		other := e.make("secgroup", "--ingress", "tcp:80,"+group)
		address := e.make("address")
		name := e.start("--subnet", subnet, "--secgroup", group, "--secgroup", other, "--public-address", address, "--", "sleep", "1000")
		e.fails(1, []string{subnet}, "vpc", "rm", vpc)
		e.fails(1, []string{name}, "subnet", "rm", subnet)
		e.fails(1, []string{name}, "secgroup", "rm", group)
		e.fails(1, []string{name}, "address", "rm", address)
		in := read[api.Instance](e, "inspect", name)
		e.equal("VPC in the record", in.Spec.Network.VPC, vpc)
		e.ok("rm", "-f", name)
		e.fails(1, []string{other}, "secgroup", "rm", group)
		for _, kind := range []struct{ kind, name string }{{"secgroup", other}, {"secgroup", group}, {"address", address}, {"subnet", subnet}, {"vpc", vpc}} {
			e.ok(kind.kind, "rm", kind.name)
		}
	},
	"subnets of a VPC reach each other, by name and by address": func(e *env) {
		vpc, front := e.aVPC()
		back := e.make("subnet", "--vpc", vpc, "--cidr", "10.9.2.0/24")
		a, addressA := e.echo("--subnet", front)
		b, addressB := e.echo("--vpc", vpc, "--subnet", back, "--ip", "10.9.2.77")
		e.equal("fixed address", addressB, "10.9.2.77")
		e.equal("as whom", e.greeting(a, addressB, port1), b+" "+addressA)
		e.greets(b, a, a, port1)
		e.greets(a, b, b+"."+vpc+".internal", port1)
		if got := e.ok("exec", a, "nslookup", addressB); !strings.Contains(got, b+"."+vpc+".internal") {
			e.Errorf("reverse lookup of %s: %s", addressB, got)
		}
		e.saysWrong("network.subnet", "run", "--rm", "--vpc", vpc, e.stage.Image, "true")
		e.saysWrong("network.address", "run", "--rm", "--subnet", back, "--ip", addressB, e.stage.Image, "true")
	},
	"VPCs with equal ranges are apart": func(e *env) {
		one, subnet1 := e.aVPC()
		two, subnet2 := e.aVPC()
		a, addressA := e.echo("--subnet", subnet1, "--ip", "10.9.1.10")
		b, addressB := e.echo("--subnet", subnet2, "--ip", "10.9.1.11")
		twin, _ := e.echo("--subnet", subnet2, "--ip", "10.9.1.10")
		e.greets(b, twin, addressA, port1) // its own neighbour, not that of the other VPC
		e.isCutOff(a, addressB, port1)
		for _, name := range []string{b, b + "." + two + ".internal"} {
			if r := e.cis("exec", a, "nslookup", name); r.Code == 0 {
				e.Errorf("%s resolves in VPC %s: %s", name, one, r.Stdout)
			}
		}
		if r := e.cis("exec", a, "ping", "-c", "1", "-W", "1", addressB); r.Code == 0 {
			e.Errorf("ping across: %s", r.Stdout)
		}
		e.ok("vpc", "update", one, "--host-reachable")
		e.equal("the host", strings.Fields(e.greetingIn("", addressA+":"+port1))[0], a)
		if r := e.cis("vpc", "update", two, "--host-reachable"); r.Code != 1 || !strings.Contains(r.Stderr, one) {
			e.Errorf("the host would be in two equal ranges: %+v", r)
		}
	},
}

// dualStack joins a VM and a gVisor sandbox by IPv6.
func dualStack(e *env) {
	vpc := e.make("vpc", "--cidr", "10.9.0.0/16")
	subnet := e.make("subnet", "--vpc", vpc, "--cidr", "10.9.1.0/24", "--ipv6")
	group := e.make("secgroup", "--ingress", "tcp:"+port1, "--ingress", "icmpv6:128", "--ingress", "udp:"+port1+",fd00::/8")
	whole, err := netip.ParsePrefix(read[api.Subnet](e, "subnet", "inspect", subnet).CIDR6)
	if err != nil {
		e.Fatal(err)
	}
	one, _ := e.echo("--subnet", subnet, "--secgroup", group)
	e.isolation = "gvisor"
	two, _ := e.echo("--subnet", subnet, "--secgroup", group)

	for _, pair := range [][2]string{{one, two}, {two, one}} {
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

// saysWrong checks that a command is refused with a text.
func (e *env) saysWrong(text string, args ...string) {
	e.Helper()
	if r := e.cis(args...); r.Code == 0 || !strings.Contains(r.Stderr, text) {
		e.Errorf("cis %q: exit code %d, does not say %q but:\n%s%s", args, r.Code, text, r.Stdout, r.Stderr)
	}
}
