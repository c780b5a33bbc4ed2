package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cis/api"
)

func TestVPCs(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "vpc", "create", "shop", "--cidr", "10.1.0.0/16", "-l", "app=shop"), 0, "shop\n", "")
	l.want(l.cis("", "vpc", "create", "shop", "--cidr", "10.1.0.0/16"), 1, "", "exists")
	l.want(l.cis("", "vpc", "create", "Shop", "--cidr", "10.1.0.1/16"), 1, "", "did you mean 10.1.0.0/16?")
	l.want(l.cis("", "vpc", "create", "x", "--allow", "tcp:"), 2, "", `cis: --allow: "tcp:" is not a rule`)
	l.want(l.cis("", "vpc", "list", "-q"), 0, "default\nshop\n", "")
	r := l.cis("", "vpc", "list")
	if lines := strings.Split(r.out, "\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], "NAME      ID            CIDR           EGRESS   HOST   AGE") ||
		!strings.HasPrefix(lines[2], "shop      vpc-shop      10.1.0.0/16    on       no     -") {
		t.Errorf("%s", r.out)
	}
	l.want(l.cis("", "vpc", "update", "shop", "--egress", "rules", "--allow", "tcp:443,1.1.1.1", "--allow", "icmp:8", "--host-reachable"), 0, "shop\n", "")
	r = l.cis("", "vpc", "inspect", "shop")
	if want := "Egress:           rules\nAllowed:          tcp:443,1.1.1.1/32\n                  icmp:8\n"; r.code != 0 || !strings.HasSuffix(r.out, want) || !strings.Contains(r.out, "Domain:           shop.internal") {
		t.Errorf("%+v", r)
	}
	// What no flag names stays; where nothing leaves nothing is allowed.
	l.want(l.cis("", "vpc", "update", "shop", "--egress", "on"), 0, "shop\n", "")
	if v := inspected[api.VPC](t, l, "vpc", "shop"); !v.HostReachable || len(v.Egress.Allow) != 2 || v.Labels["app"] != "shop" {
		t.Errorf("%+v", v)
	}
	l.want(l.cis("", "vpc", "update", "shop", "--egress", "off", "--host-reachable=false"), 0, "shop\n", "")
	if v := inspected[api.VPC](t, l, "vpc", "shop"); v.HostReachable || v.Egress.Mode != api.EgressOff || len(v.Egress.Allow) != 0 {
		t.Errorf("%+v", v)
	}
	l.want(l.cis("", "vpc", "update", "shop", "-p", "30080", "-p", "8053:53/udp", "--route", "10.96.0.0/16"), 0, "shop\n", "")
	l.want(l.cis("", "vpc", "update", "shop", "--egress", "on"), 0, "shop\n", "")
	if v := inspected[api.VPC](t, l, "vpc", "shop"); fmt.Sprint(v.Ports, v.Routes) != "[{ 30080 30080 TCP false} { 8053 53 UDP false}] [10.96.0.0/16]" {
		t.Errorf("%+v", v)
	}
	l.want(l.cis("", "vpc", "update", "shop", "--publish", "none", "--route", "none"), 0, "shop\n", "")
	if v := inspected[api.VPC](t, l, "vpc", "shop"); len(v.Ports)+len(v.Routes) != 0 {
		t.Errorf("%+v", v)
	}
	l.want(l.cis("", "vpc", "update", "shop", "--publish", "x"), 2, "", "HOSTPORT")
	l.want(l.cis("", "vpc", "rm", "shop", "none"), 1, "shop\n", `cis: there is no VPC "none"`)
	r = l.cis("", "vpc", "flows", "default")
	if want := "web (10.64.0.2)   db (10.64.0.3)   tcp        5432   allowed   7"; !strings.Contains(r.out, want) || !strings.Contains(r.out, "dropped") {
		t.Errorf("%s", r.out)
	}
}

// inspected is the record that a command shows.
func inspected[T any](t *testing.T, l *lab, kind, name string) T {
	t.Helper()
	var one T
	r := l.cis("", kind, "inspect", name, "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &one); err != nil {
		t.Fatalf("%v: %+v", err, r)
	}
	return one
}

func TestSubnets(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "subnet", "create", "front", "--vpc", "shop", "--cidr", "10.1.1.0/24", "--ipv6"), 0, "front\n", "")
	if s := inspected[api.Subnet](t, l, "subnet", "front"); s.VPC != "shop" || !s.IPv6 {
		t.Errorf("%+v", s)
	}
	r := l.cis("", "subnet", "list")
	if !strings.Contains(r.out, "front     subnet-front     shop      10.1.1.0/24    -      253     -") {
		t.Errorf("%s", r.out)
	}
	l.want(l.cis("", "subnet", "create", "x", "--cidr", "10.1.1.0/30"), 1, "", "/29 or larger")
	l.want(l.cis("", "subnet", "rm", "front"), 0, "front\n", "")
	var none []api.Subnet
	if err := json.Unmarshal([]byte(l.cis("", "subnet", "ls", "-o", "json").out), &none); err != nil || len(none) != 1 {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestSecurityGroups(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "secgroup", "create", "web", "--ingress", "tcp:80", "--ingress", "tcp:8000-8999,10.0.0.0/8"), 0, "web\n", "")
	l.want(l.cis("", "secgroup", "create", "shut", "--ingress", "none", "--egress", "none"), 0, "shut\n", "")
	l.want(l.cis("", "secgroup", "create", "bad", "--ingress", "tpc:80"), 1, "", `ingress[0].protocol: must be one of any, tcp`)
	if g := inspected[api.SecurityGroup](t, l, "secgroup", "shut"); len(g.Ingress)+len(g.Egress) != 0 {
		t.Errorf("%+v", g)
	}
	l.want(l.cis("", "secgroup", "rule", "add", "web", "ingress", "icmpv6:128,fd00::/8", "any,web", "--description", "ours"), 0, "web\n", "")
	want := `DIRECTION   NUMBER   PROTOCOL   PORTS       PEER         DESCRIPTION
ingress     1        tcp        80          -            -
ingress     2        tcp        8000-8999   10.0.0.0/8   -
ingress     3        icmpv6     128         fd00::/8     ours
ingress     4        any        -           web          ours
egress      1        any        -           -            -
`
	l.want(l.cis("", "secgroup", "rule", "list", "web"), 0, want, "")
	l.want(l.cis("", "secgroup", "rule", "rm", "web", "ingress", "2", "4"), 0, "web\n", "")
	if g := inspected[api.SecurityGroup](t, l, "secgroup", "web"); len(g.Ingress) != 2 || ruleText(g.Ingress[1]) != "icmpv6:128,fd00::/8" || len(g.Egress) != 1 {
		t.Errorf("%+v", g)
	}
	l.want(l.cis("", "secgroup", "rule", "rm", "web", "ingress", "3"), 2, "", `"3" is not the number of a rule: there are 2`)
	l.want(l.cis("", "secgroup", "rule", "rm", "web", "inside", "1"), 2, "", "use ingress or egress")
	l.want(l.cis("", "secgroup", "rule", "add", "web", "ingress", "icmp:echo"), 2, "", "is not an ICMP type")
	if r := l.cis("", "secgroup", "inspect", "web", "shut"); !strings.Contains(r.out, "Ingress:          1. tcp:80\n                  2. icmpv6:128,fd00::/8, ours\n") || !strings.Contains(r.out, "Ingress:          none\n") {
		t.Errorf("%s", r.out)
	}
}

func TestAddresses(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "address", "create", "front"), 0, "front\n", "")
	l.want(l.cis("", "address", "create"), 0, "eip-00000002\n", "")
	l.want(l.cis("", "address", "bind", "front", "web"), 0, "front\n", "")
	if r := l.cis("", "address", "list"); !strings.Contains(r.out, "front          eip-00000001   203.0.113.1   web        -") {
		t.Errorf("%s", r.out)
	}
	l.want(l.cis("", "address", "bind", "front", "nobody"), 1, "", `there is no instance "nobody"`)
	l.want(l.cis("", "address", "unbind", "front"), 0, "front\n", "")
	l.want(l.cis("", "address", "rm", "front", "eip-00000002"), 0, "front\neip-00000002\n", "")
}

func TestNetCheck(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "net", "check", "web", "job", "5432"), 0, `From:             web
To:               job (10.64.0.3) port 5432/tcp
Rules:            allowed
By:               egress rule 1 of default
                  ingress rule 1 of default
Tried:            connected
`, "")
	if r := l.cis("", "net", "check", "web", "closed", "53/udp"); r.code != 1 || !strings.Contains(r.out, "Rules:            stopped") || !strings.Contains(r.out, "no rule of default matches") {
		t.Errorf("%+v", r)
	}
	if r := l.cis("", "net", "check", "web", "closed", "53/udp", "-o", "json"); r.code != 1 || !strings.Contains(r.out, `"allowed": false`) {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(l.engine.Checks[0], l.engine.Checks[1]); got != "{web job 5432 tcp} {web closed 53 udp}" {
		t.Errorf("asked for %s", got)
	}
	l.want(l.cis("", "net", "check", "web", "job", "80/sctp"), 2, "", `"80/sctp" is not PORT, PORT/tcp or PORT/udp`)
	l.want(l.cis("", "net", "check", "nobody", "job", "80"), 1, "", `there is no instance "nobody"`)
}

func TestNetworkFlagsOfRun(t *testing.T) {
	l := newLab(t)
	args := "run -d --name web --subnet front --secgroup web --secgroup default --ip 10.1.1.9 --public-address auto --bandwidth-in 100M --bandwidth-out 1.5G " +
		"-p 8080:80 -p 53/udp -p 127.0.0.1:443:8443 -p [::1]::22 --dns 1.1.1.1 --dns-search example.com sleep"
	l.want(l.cis("", strings.Fields(args)...), 0, "web\n", "")
	req := l.engine.created[0]
	got, _ := json.Marshal(req.Network)
	want := `{"subnet":"front","securityGroups":["web","default"],"address":"10.1.1.9","publicAddress":"auto","bandwidth":{"in":"100M","out":"1500M"},` +
		`"ports":[{"hostPort":8080,"port":80,"protocol":"TCP"},{"port":53,"protocol":"UDP"},{"hostAddress":"127.0.0.1","hostPort":443,"port":8443,"protocol":"TCP"},` +
		`{"hostAddress":"::1","port":22,"protocol":"TCP"}]}`
	if string(got) != want || req.DNSConfig.Nameservers[0] != "1.1.1.1" || req.DNSConfig.Searches[0] != "example.com" || req.DNSPolicy != api.DNSDefault {
		t.Errorf("got  %s\nwant %s\n%+v", got, want, req.DNSConfig)
	}
	for _, p := range []string{"x", "80:x", "a:80:80", "0", "80/sctp", "70000:80", ""} {
		l.want(l.cis("", "run", "-d", "-p", p, "sleep"), 2, "", "is not [[HOST:]HOSTPORT:]PORT[/udp]")
	}
}

func TestNetworkCompletion(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "secgroup", "create", "db"), 0, "db\n", "")
	l.want(l.cis("", "address", "create", "front"), 0, "front\n", "")
	for args, want := range map[string]string{
		"vpc inspect |": "default", "run --vpc |": "default", "run --subnet |": "default", "run --secgroup |": "db",
		"run --public-address |": "front\nauto", "secgroup rule add |": "db", "secgroup rule add db |": "ingress\negress",
		"address bind front |": "web", "subnet create x --vpc |": "default", "vpc update x --egress |": "on\noff\nrules", "net check web |": "job",
	} {
		r := l.cis("", append([]string{"__complete"}, strings.Fields(strings.ReplaceAll(args, "|", ""))...)...)
		if strings.HasSuffix(args, " |") {
			r = l.cis("", append(append([]string{"__complete"}, strings.Fields(strings.TrimSuffix(args, "|"))...), "")...)
		}
		for _, w := range strings.Split(want, "\n") {
			if !strings.Contains(r.out, w) {
				t.Errorf("%s offers %q, want %q", args, r.out, w)
			}
		}
	}
}

func TestPsWideShowsTheNetwork(t *testing.T) {
	inst := api.Instance{Spec: api.InstanceSpec{Network: api.NetworkSpec{VPC: "shop"}}, Status: api.InstanceStatus{PublicAddress: "203.0.113.1",
		Ports: []api.PublishedPort{{HostPort: 8080, Port: 80, Protocol: "TCP"}, {HostAddress: "::1", HostPort: 53, Port: 53, Protocol: "UDP"}}}}
	var out strings.Builder
	a := &app{Env: Env{Out: &out, Getenv: func(string) string { return "" }}}
	o := psOptions{out: formatWide}
	table := a.psTable(o)
	a.psRow(table, o, &inst)
	if err := a.writeRows(table, o); err != nil || !strings.Contains(out.String(), "shop   203.0.113.1   *:8080->80/tcp, [::1]:53->53/udp\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
