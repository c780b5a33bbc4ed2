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
		name := e.start("--rm", "--subnet", subnet, "--secgroup", group, "--secgroup", other, "--public-address", "auto", "--", "sleep", "1000")
		address := e.addressOf(name)
		e.equal("made for it", address.Auto, true)
		e.equal("in its record", e.get(name).Status.PublicAddress, address.Address)
		e.fails(1, []string{subnet}, "vpc", "rm", vpc)
		e.fails(1, []string{name}, "subnet", "rm", subnet)
		e.fails(1, []string{name}, "secgroup", "rm", group)
		e.fails(1, []string{name}, "address", "rm", address.Name)
		e.fails(1, []string{name}, "address", "unbind", address.Name)

		e.ok("stop", "-t", "0", name)
		e.until("the address has gone with the instance", func() bool { return e.addressOf(name).Address == "" })
		e.fails(1, []string{other}, "secgroup", "rm", group)
		e.ok("secgroup", "rm", other)
		e.ok("secgroup", "rm", group)
		e.until("nobody uses the subnet", func() bool { return e.cis("subnet", "rm", subnet).Code == 0 })
		e.ok("vpc", "rm", vpc)
	},
	"subnets of a VPC reach each other, by name and by address": func(e *env) {
		s := e.shop
		e.equal("fixed address", s.serverAddress, "10.9.2.77")
		e.equal("as whom", e.greeting(s.client, s.serverAddress, port1), s.server+" "+s.clientAddress)
		e.greets(s.client, s.server, s.server, port1)
		e.greets(s.client, s.server, s.server+"."+s.vpc+".internal", port1)
		if got := e.ok("exec", s.client, "nslookup", s.serverAddress); !strings.Contains(got, s.server+"."+s.vpc+".internal") {
			e.Errorf("reverse lookup of %s: %s", s.serverAddress, got)
		}
		e.saysWrong("network.subnet", "run", "--rm", "--vpc", s.vpc, e.stage.Image, "true")
		e.saysWrong("in use by instance "+s.server, "run", "--rm", "--subnet", s.back, "--ip", s.serverAddress, e.stage.Image, "true")
	},
	"VPCs with equal ranges are apart": func(e *env) {
		vpc, subnet := e.aVPC()
		twin, address := e.echo("--subnet", subnet, "--ip", e.shop.clientAddress)
		e.equal("address of two at once", address, e.shop.clientAddress)
		e.isCutOff(twin, e.shop.serverAddress, port1)
		if r := e.cis("exec", twin, "ping", "-c", "1", "-W", "1", e.shop.serverAddress); r.Code == 0 {
			e.Errorf("ping across: %s", r.Stdout)
		}
		for _, name := range []string{e.shop.server, e.shop.server + "." + e.shop.vpc + ".internal"} {
			if r := e.cis("exec", twin, "nslookup", name); r.Code == 0 {
				e.Errorf("%s resolves in VPC %s: %s", name, vpc, r.Stdout)
			}
		}
		e.equal("the host reaches", strings.Fields(e.greetingIn("", e.shop.clientAddress+":"+port1))[0], e.shop.client)
		e.saysWrong(e.shop.vpc, "vpc", "update", vpc, "--host-reachable") // two equal ranges for the host
	},
}

// addressOf is the public address of an instance, or the zero one.
func (e *env) addressOf(instance string) api.Address {
	e.Helper()
	for _, a := range read[[]api.Address](e, "address", "list") {
		if a.Instance == instance {
			return a
		}
	}
	return api.Address{}
}

// dualStack joins a VM and a gVisor sandbox by IPv6.
func dualStack(e *env) {
	whole, err := netip.ParsePrefix(read[api.Subnet](e, "subnet", "inspect", e.shop.front).CIDR6)
	if err != nil {
		e.Fatal(err)
	}
	e.isolation = "gvisor"
	other, _ := e.echo("--subnet", e.shop.front, "--secgroup", e.shop.group, "--secgroup", "default")
	for _, pair := range [][2]string{{e.shop.client, other}, {other, e.shop.client}} {
		from, to := pair[0], pair[1]
		address, source := e.get(to).Status.Address6, e.get(from).Status.Address6
		if ip, err := netip.ParseAddr(address); err != nil || !whole.Contains(ip) {
			e.Errorf("%s has address %q, which is not in %s", to, address, whole)
		}
		e.equal("TCP over IPv6, and as whom", e.greeting(from, address, port1), to+" "+source)
		if got := e.cis("exec", from, "ping6", "-c", "1", "-W", "5", address).Stdout; !strings.Contains(got, "1 packets received") {
			e.Errorf("%s pings %s: %s", from, address, got)
		}
		if got := e.cis("exec", from, "nslookup", "-type=aaaa", to).Stdout; !strings.Contains(got, address) {
			e.Errorf("the name %s: %s", to, got)
		}
		v := e.verdict(from, address, port1+"/udp")
		if !v.Allowed || v.Tried != api.TryAnswered {
			e.Errorf("UDP over IPv6: %+v", v)
		}
	}
	// The server's group lets in no third port, over IPv6 either.
	e.isCutOff(other, e.get(e.shop.server).Status.Address6, port3)
}

// saysWrong checks that a command is refused with a text.
func (e *env) saysWrong(text string, args ...string) {
	e.Helper()
	if r := e.cis(args...); r.Code == 0 || !strings.Contains(r.Stderr, text) {
		e.Errorf("cis %q: exit code %d, does not say %q but:\n%s%s", args, r.Code, text, r.Stdout, r.Stderr)
	}
}
