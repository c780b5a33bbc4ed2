package api_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cis/api"
)

// networkMistakes are wrong bodies by kind, with the field and the words of the answer.
var networkMistakes = []struct {
	body              any
	yaml, field, says string
}{
	{&api.VPC{}, "{cidr: 10.0.0.0/16}", "name", "1 to 63"},
	{&api.VPC{}, "{name: A, cidr: 10.0.0.0/16}", "name", "lower-case"},
	{&api.VPC{}, "{name: vpc-12ab, cidr: 10.0.0.0/16}", "name", "as IDs do"},
	{&api.VPC{}, "{name: a, id: vpc-1, cidr: 10.0.0.0/16}", "id", "shown, not set"},
	{&api.VPC{}, "{name: a, labels: {-: b}, cidr: 10.0.0.0/16}", "labels[-]", "the key"},
	{&api.VPC{}, "{name: a}", "cidr", "such as 10.1.0.0/16"},
	{&api.VPC{}, "{name: a, cidr: 10.0.0.1/16}", "cidr", "did you mean 10.0.0.0/16?"},
	{&api.VPC{}, "{name: a, cidr: 'fd00::/48'}", "cidr", "IPv4"},
	{&api.VPC{}, "{name: a, cidr: 8.8.0.0/16}", "cidr", "must be in 10.0.0.0/8"},
	{&api.VPC{}, "{name: a, cidr: 172.0.0.0/8}", "cidr", "must be in"},
	{&api.VPC{}, "{name: a, cidr: 10.0.0.0/29}", "cidr", "from /8 to /28"},
	{&api.VPC{}, "{name: a, cidr: 10.0.0.0/16, cidr6: 'fd00::/48'}", "cidr6", "shown"},
	{&api.VPC{}, "{name: a, cidr: 10.0.0.0/16, egress: {mode: rule}}", "egress.mode", `did you mean "rules"`},
	{&api.VPC{}, "{name: a, cidr: 10.0.0.0/16, egress: {mode: 'off', allow: [{}]}}", "egress.allow", "use mode rules"},
	{&api.VPC{}, "{name: a, cidr: 10.0.0.0/16, egress: {mode: rules, allow: [{securityGroup: a}]}}", "egress.allow[0].securityGroup", "use cidr"},
	{&api.VPCUpdate{}, "{egress: {mode: x}}", "egress.mode", "on, off, rules"},
	{&api.Subnet{}, "{name: a, cidr: 10.0.0.0/30}", "cidr", "/29 or larger"},
	{&api.Subnet{}, "{name: a, vpc: A, cidr: 10.0.0.0/24}", "vpc", "name or ID"},
	{&api.Subnet{}, "{name: a, cidr: 10.0.0.0/24, available: 3}", "available", "shown"},
	{&api.SecurityGroup{}, "{name: a, ingress: [{protocol: TCP}]}", "ingress[0].protocol", `did you mean "tcp"`},
	{&api.SecurityGroup{}, "{name: a, ingress: [{ports: 80}]}", "ingress[0].ports", "must be a string"},
	{&api.SecurityGroup{}, "{name: a, ingress: [{ports: '80'}]}", "ingress[0].ports", "tcp and udp, not any"},
	{&api.SecurityGroup{}, "{name: a, egress: [{protocol: tcp, ports: 90-80}]}", "egress[0].ports", "a range such as 8000-8999"},
	{&api.SecurityGroup{}, "{name: a, egress: [{protocol: tcp, ports: '0'}]}", "egress[0].ports", "from 1 to 65535"},
	{&api.SecurityGroup{}, "{name: a, egress: [{protocol: tcp, icmpType: 8}]}", "egress[0].icmpType", "icmp and icmpv6"},
	{&api.SecurityGroup{}, "{name: a, egress: [{protocol: icmp, icmpType: 256}]}", "egress[0].icmpType", "0 to 255"},
	{&api.SecurityGroup{}, "{name: a, egress: [{protocol: icmp, cidr: 'fd00::/8'}]}", "egress[0].cidr", "use icmpv6"},
	{&api.SecurityGroup{}, "{name: a, egress: [{protocol: icmpv6, cidr: 10.0.0.0/8}]}", "egress[0].cidr", "use icmp"},
	{&api.SecurityGroup{}, "{name: a, egress: [{cidr: '::ffff:10.0.0.0/104'}]}", "egress[0].cidr", "as an IPv4 range"},
	{&api.SecurityGroup{}, "{name: a, egress: [{cidr: 10.0.0.0/8, securityGroup: b}]}", "egress[0].securityGroup", "excludes cidr"},
	{&api.SecurityGroup{}, `{name: a, egress: [{description: "a\nb"}]}`, "egress[0].description", "control"},
	{&api.SecurityGroupUpdate{}, "{ingress: [" + strings.Repeat("{},", 1001) + "]}", "ingress", "at most 1000 rules, not 1001"},
	{&api.CreateInstance{}, "{network: {bandwidth: {out: 1x}}}", "network.bandwidth.out", "with k, M or G"},
	{&api.Address{}, "{name: auto}", "name", "stands for"},
	{&api.Address{}, "{address: 'fd00::1'}", "address", "IPv4"},
	{&api.Address{}, "{instance: a}", "instance", "bind"},
	{&api.AddressBinding{}, "{instance: ''}", "instance", "name or ID"},
	{&api.AddressBinding{}, "{instance: a, vpc: b}", "vpc", "one of them"},
	{&api.AddressBinding{}, "{vpc: B}", "vpc", "name or ID"},
	{&api.Address{}, "{vpc: a}", "vpc", "bind"},
	{&api.VPCUpdate{}, "{ports: [{hostPort: 80, guarded: true}]}", "ports[0].guarded", "no security groups"},
	{&api.VPCUpdate{}, "{ports: [{port: 80}]}", "ports[0].hostPort", "no free one"},
	{&api.VPCUpdate{}, "{ports: [{hostPort: 80, port: 90}, {hostPort: 90}]}", "ports[1].port", "twice"},
	{&api.VPCUpdate{}, "{ports: [{hostPort: 80}, {hostPort: 80, port: 90}]}", "ports[1].hostPort", "80/TCP is used twice"},
	{&api.VPCUpdate{}, "{routes: [10.96.0.1/16]}", "routes[0]", "did you mean 10.96.0.0/16?"},
	{&api.VPCUpdate{}, "{routes: [8.8.8.0/24]}", "routes[0]", "must be in"},
	{&api.VPC{}, "{name: a, cidr: 10.0.0.0/16, routes: [10.96.0.1/32]}", "routes[0]", "/8 to /30"},
	{&api.InstanceGroups{}, "{securityGroups: []}", "securityGroups", "at least one"},
	{&api.InstanceGroups{}, "{securityGroups: [a, a]}", "securityGroups[1]", "twice"},
	{&api.InstanceGroups{}, "{securityGroups: [A]}", "securityGroups[0]", "name or ID"},
	{&api.NetworkCheck{}, "{from: a, to: b}", "port", "1 to 65535"},
	{&api.NetworkCheck{}, "{from: a, to: b.c, port: 1}", "to", "IP address"},
	{&api.NetworkCheck{}, "{from: a, to: b, port: 1, protocol: icmp}", "protocol", "tcp, udp"},
}

func TestNetworkRequestsRefuse(t *testing.T) {
	for _, tt := range networkMistakes {
		err := api.Decode([]byte("# YAML\n"+tt.yaml), tt.body)
		if err == nil {
			if d, ok := tt.body.(interface{ Default() }); ok {
				d.Default()
			}
			err = tt.body.(interface{ Validate() error }).Validate()
		}
		e, ok := errors.AsType[*api.Error](err)
		if !ok || e.Code != api.Invalid || e.Field != tt.field || !strings.Contains(e.Error(), tt.says) {
			t.Errorf("%T %.80s\ngives %v\nwant  field %q: %s", tt.body, tt.yaml, err, tt.field, tt.says)
		}
	}
}

func TestNetworkDefaults(t *testing.T) {
	var g api.SecurityGroup
	if err := api.Decode([]byte(`{"name":"web"}`), &g); err != nil {
		t.Fatal(err)
	}
	g.Default()
	if err := g.Validate(); err != nil || fmt.Sprint(g.Ingress, g.Egress) != "[{any  <nil>  web }] [{any  <nil>   }]" {
		t.Errorf("%v %v, %v", g.Ingress, g.Egress, err)
	}
	if err := api.Decode([]byte(`{"name":"shut","ingress":[],"egress":[]}`), &g); err != nil {
		t.Fatal(err)
	}
	g.Default()
	if len(g.Ingress)+len(g.Egress) != 0 {
		t.Errorf("empty lists are not left out: %+v", g)
	}
	v := api.VPC{Name: "a", CIDR: "100.64.0.0/12"}
	v.Default()
	if err := v.Validate(); err != nil || v.Egress.Mode != api.EgressOn {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestNetworkSpecRefuses(t *testing.T) {
	for _, tt := range []struct{ yaml, field, says string }{
		{"network: {vpc: A}", "network.vpc", "name or ID"},
		{"network: {subnet: A}", "network.subnet", "name or ID"},
		{"network: {securityGroups: [a, a]}", "network.securityGroups[1]", "twice"},
		{"network: {securityGroups: [a, b, c, d, e, f, g, h, i]}", "network.securityGroups", "at most 8, not 9"},
		{"network: {address: 10.0.0}", "network.address", "IPv4 address"},
		{"network: {publicAddress: A}", "network.publicAddress", "or auto"},
		{"network: {bandwidth: {in: 1k}}", "network.bandwidth.in", "100k to 100G bits per second, not 1k"},
		{"network: {ports: [{hostPort: 80}]}", "network.ports[0].port", "1 to 65535"},
		{"network: {ports: [{hostPort: 65536, port: 1}]}", "network.ports[0].hostPort", "0 to 65535"},
		{"network: {ports: [{port: 1, protocol: udp}]}", "network.ports[0].protocol", `did you mean "UDP"`},
		{"network: {ports: [{port: 1, hostAddress: host}]}", "network.ports[0].hostAddress", "address of the host"},
		{"network: {ports: [{port: 1, hostPort: 80}, {port: 2, hostPort: 80, hostAddress: 10.0.0.1}]}", "network.ports[1].hostPort", "80/TCP is used twice"},
		{"dnsPolicy: ClusterFirst", "dnsPolicy", "one of Default, None"},
		{"dnsPolicy: None", "dnsConfig.nameservers", "at least one"},
		{"dnsConfig: {nameservers: [a]}", "dnsConfig.nameservers[0]", "IP address"},
		{"dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3]}", "dnsConfig.nameservers", "at most 2"},
		{"dnsConfig: {searches: ['a b']}", "dnsConfig.searches[0]", "lower-case"},
		{"dnsConfig: {options: [{name: 'a b'}]}", "dnsConfig.options[0].name", "such as ndots"},
		{"dnsConfig: {options: [{name: ndots, value: \"2\\n\"}]}", "dnsConfig.options[0].value", "without spaces"},
	} {
		req := decoded(t, tt.yaml+"\ncontainers: [{image: a}]")
		req.Default(offered)
		e, ok := errors.AsType[*api.Error](req.Validate(offered))
		if !ok || e.Field != tt.field || !strings.Contains(e.Error(), tt.says) {
			t.Errorf("%s gives %v, want field %q: %s", tt.yaml, e, tt.field, tt.says)
		}
	}
	good := decoded(t, "network: {subnet: a, securityGroups: [a, b], bandwidth: {in: 100M}, ports: [{port: 80}, {port: 80}, {port: 53, hostPort: 53, protocol: UDP}, "+
		"{port: 53, hostPort: 53}]}\ndnsPolicy: None\ndnsConfig: {nameservers: ['fd00::1'], options: [{name: ndots, value: '2'}]}\ncontainers: [{image: a}]")
	good.Default(offered)
	if err := good.Validate(offered); err != nil || good.Network.Ports[0].Protocol != "TCP" || good.Network.Bandwidth.In != 100*api.Mbit {
		t.Errorf("%v %+v", err, good.Network)
	}
}

func FuzzRule(f *testing.F) {
	f.Add("tcp", "80-90", "10.0.0.0/8", "")
	f.Add("icmpv6", "", "fd00::/8", "web")
	f.Fuzz(func(t *testing.T, protocol, ports, cidr, group string) {
		g := api.SecurityGroup{Name: "a", Ingress: []api.Rule{{Protocol: api.Protocol(protocol), Ports: ports, CIDR: cidr, SecurityGroup: group}}}
		g.Default()
		if g.Validate() != nil {
			return
		}
		first, last, err := g.Ingress[0].PortRange()
		if err != nil || first > last || (first == 0) != (ports == "") {
			t.Errorf("%q is accepted as %d to %d, %v", ports, first, last, err)
		}
	})
}

func FuzzParseBitRate(f *testing.F) {
	for _, s := range []string{"0", "100M", "1.5G", "8", "1e9", "-1", "k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := api.ParseBitRate(s)
		if err != nil {
			return
		}
		if again, err := api.ParseBitRate(r.String()); err != nil || again != r || r < 0 {
			t.Errorf("%q is %d, which is written %q and read as %d, %v", s, r, r, again, err)
		}
	})
}
