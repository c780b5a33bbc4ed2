package network

import (
	"context"
	"slices"
	"testing"
	"time"

	"cis/api"
)

func TestCheckNamesTheRule(t *testing.T) {
	l := newLab(t)
	m := l.open()
	v := l.vpc("vpc-a")
	v.Egress = Egress{Mode: EgressRules, Allow: []Rule{tcp(443, 443, ""), tcp(80, 80, hostAddr+"/32")}}
	l.ensure(m, v,
		Group{ID: "sg-a", Egress: []Rule{tcp(80, 80, "10.0.0.0/8"), {Group: "sg-b"}, {Protocol: TCP}}},
		Group{ID: "sg-b", Ingress: []Rule{{Protocol: UDP}, tcp(80, 80, "")}},
		Group{ID: "sg-c"})
	other := l.vpc("vpc-b")
	other.HostReachable = false
	l.ensure(m, other)
	from, to, lone, apart := nicAt("vpc-a", 2).in("sg-a"), nicAt("vpc-a", 3).in("sg-c", "sg-b").dual(), nicAt("vpc-a", 4).in(), nicAt("vpc-b", 2)
	for _, n := range []NIC{from, to, lone, apart} {
		l.attach(m, n)
	}
	nic := func(n NIC) Endpoint { return Endpoint{NIC: n.ID} }
	out := func(a string) Endpoint { return Endpoint{Address: addr(a)} }
	yes := func(by string) Verdict { return Verdict{Allowed: true, By: by} }
	no := func(by string) Verdict { return Verdict{By: by} }
	for what, c := range map[string]struct {
		from, to Endpoint
		port     uint16
		want     []Verdict
	}{
		"both allow":       {nic(from), nic(to), 80, []Verdict{yes("egress rule 1 of sg-a"), yes("ingress rule 2 of sg-b")}},
		"by its address":   {nic(from), out("10.77.0.3"), 80, []Verdict{yes("egress rule 1 of sg-a"), yes("ingress rule 2 of sg-b")}},
		"by group":         {nic(from), nic(to), 81, []Verdict{yes("egress rule 2 of sg-a"), no("ingress: no rule of sg-b, sg-c matches")}},
		"no group":         {nic(lone), nic(to), 80, []Verdict{no("egress: the NIC is in no security group"), yes("ingress rule 2 of sg-b")}},
		"from outside":     {out("198.51.100.1"), nic(to), 80, []Verdict{yes("ingress rule 2 of sg-b")}},
		"outside":          {nic(from), out("198.51.100.1"), 443, []Verdict{yes("egress rule 3 of sg-a"), yes("egress rule 1 of vpc-a")}},
		"outside, no rule": {nic(from), out("198.51.100.1"), 80, []Verdict{yes("egress rule 3 of sg-a"), no("egress: no rule of vpc-a matches")}},
		"guarded":          {nic(from), out("169.254.169.254"), 443, []Verdict{yes("egress rule 3 of sg-a"), no("169.254.169.254 is in 169.254.0.0/16, and no egress rule of vpc-a is for it alone")}},
		"the host":         {nic(from), out(hostAddr), 443, []Verdict{yes("egress rule 3 of sg-a"), yes("egress rule 1 of vpc-a"), no(hostAddr + " is the host's own, and no egress rule of vpc-a is for it alone")}},
		"the host, opened": {nic(from), out(hostAddr), 80, []Verdict{yes("egress rule 3 of sg-a"), yes("egress rule 2 of vpc-a")}},
		"the host comes":   {out(m.vpcs["vpc-a"].slot.String()), nic(lone), 80, []Verdict{yes("the host reaches vpc-a")}},
		"two VPCs":         {nic(from), nic(apart), 80, []Verdict{no("vpc-a and vpc-b are separate")}},
		"nobody's":         {nic(from), out("10.77.9.9"), 80, []Verdict{yes("egress rule 1 of sg-a"), no("no NIC of vpc-a has 10.77.9.9")}},
	} {
		got, err := m.Check(ctx, c.from, c.to, TCP, c.port)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v", what, got, err, c.want)
		}
	}
	for what, c := range map[string]struct {
		from, to Endpoint
		code     api.Code
	}{
		"unknown NIC":   {Endpoint{NIC: "x"}, nic(to), api.NotFound},
		"no NIC":        {out("1.2.3.4"), out("1.2.3.5"), api.Invalid},
		"nothing":       {Endpoint{}, nic(to), api.Invalid},
		"not its own":   {Endpoint{NIC: from.ID, Address: addr("10.77.0.9")}, nic(to), api.Invalid},
		"two families":  {nic(from), out("2001:db8::2"), api.Invalid},
		"without IPv6":  {Endpoint{NIC: from.ID, Address: addr("::")}, nic(to), api.Invalid},
		"no such a NIC": {nic(from), Endpoint{NIC: "x"}, api.NotFound},
	} {
		if _, err := m.Check(ctx, c.from, c.to, TCP, 80); api.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", what, err, c.code)
		}
	}
}

// What Check says of ports, public addresses and the gateway is what the kernel does.
func TestCheckOfWhatLeadsIn(t *testing.T) {
	l := newLab(t)
	m := l.open()
	one, two := l.vpc("one"), l.vpc("two")
	two.HostReachable = false
	groups := []Group{
		{ID: "web", Ingress: []Rule{tcp(80, 80, "")}, Egress: []Rule{{}}},
		{ID: "known", Ingress: []Rule{tcp(80, 80, publicTwo+"/32")}, Egress: []Rule{{}}},
		{ID: "shut", Egress: []Rule{tcp(22, 22, "")}},
	}
	l.ensure(m, one, groups...)
	l.ensure(m, two, groups...)
	web := nicAt("one", 2).in("web").known(publicOne)
	web.Ports = []Port{port(TCP, 8080, 81), {Protocol: TCP, Host: addr(hostAddr), HostPort: 8081, Target: 81}, {Protocol: TCP, HostPort: 8083, Target: 81, Guarded: true}}
	picky := nicAt("two", 2).in("known").known(publicTwo)
	plain, shut := nicAt("one", 3).in("web"), nicAt("one", 4).in("shut")
	spaces := map[string]*space{}
	for _, n := range []NIC{web, picky, plain, shut} {
		spaces[n.ID] = l.attach(m, n)
	}
	l.serve(spaces[web.ID], ":80")
	l.serve(spaces[web.ID], ":81")
	l.serve(spaces[picky.ID], ":80")
	l.meet(publicOne)
	l.meet(publicTwo)
	for _, c := range []struct {
		from NIC
		to   string
		port uint16
		last Verdict
	}{
		{plain, publicOne, 80, Verdict{true, "ingress rule 1 of web", ""}},
		{plain, publicOne, 81, Verdict{false, "ingress: no rule of web matches", ""}},
		{picky, publicOne, 80, Verdict{true, "ingress rule 1 of web", "one"}},
		{web, publicOne, 80, Verdict{true, "ingress rule 1 of web", ""}},
		{plain, publicTwo, 80, Verdict{false, "ingress: no rule of known matches", "two"}}, // it is seen as the uplink
		{web, publicTwo, 80, Verdict{false, "ingress: no rule of known matches", "two"}},
		{shut, publicOne, 80, Verdict{false, "egress: no rule of shut matches", ""}},
		{plain, hostAddr, 8080, Verdict{true, "port 8080/tcp of " + hostAddr + " is published", ""}},
		{web, hostAddr, 8081, Verdict{true, "port 8081/tcp of " + hostAddr + " is published", ""}},
		{picky, hostAddr, 8080, Verdict{true, "port 8080/tcp of " + hostAddr + " is published", ""}},
		{plain, hostAddr, 8083, Verdict{true, "the host reaches one", ""}},
		{picky, hostAddr, 8083, Verdict{true, "the host reaches one", "one"}},
		{plain, hostAddr, 8082, Verdict{false, hostAddr + " is the host's own, and no egress rule of one is for it alone", ""}},
		{plain, Gateway.String(), 53, Verdict{true, "the gateway answers it, whatever the rules", ""}},
		{shut, Gateway.String(), 53, Verdict{true, "the gateway answers it, whatever the rules", ""}},
		{plain, Gateway.String(), 80, Verdict{false, "the gateway answers nothing but DNS at 169.254.1.1 and ping", ""}},
	} {
		verdicts, err := m.Check(ctx, Endpoint{NIC: c.from.ID}, Endpoint{Address: addr(c.to)}, TCP, c.port)
		check(t, err)
		if !slices.Contains(verdicts, c.last) {
			t.Errorf("%s to %s port %d: %v, want %v", c.from.ID, c.to, c.port, verdicts, c.last)
		}
		wait := blocked
		if allowed(verdicts) {
			wait = patience
		}
		conn, err := dialWithin(soonCtx(t, wait), spaces[c.from.ID].fd, "tcp", at(addr(c.to), c.port))
		if err == nil {
			conn.Close()
		}
		if (err == nil) != allowed(verdicts) {
			t.Errorf("%s to %s port %d: %v, yet the kernel says %v", c.from.ID, c.to, c.port, verdicts, err)
		}
	}
}

func soonCtx(t *testing.T, wait time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	t.Cleanup(cancel)
	return ctx
}
