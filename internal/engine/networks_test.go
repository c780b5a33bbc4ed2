package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"cis/api"
	"cis/internal/account"
	"cis/internal/network"
	"cis/internal/store"
)

// place is a request for a program that sleeps somewhere on the network.
func place(name string, n api.NetworkSpec) api.CreateInstance {
	req := request(name, "sleep")
	req.Network = n
	req.Default(api.Defaults{})
	return req
}

// refuses checks that a create fails, with nothing left of it.
func (b *bench) refuses(req api.CreateInstance, code api.Code, field, says string) {
	b.t.Helper()
	before := fmt.Sprint(b.capacity.info(), len(b.networks.members))
	_, _, err := b.Create(b.t.Context(), req)
	wantError(b.t, err, code, field, says)
	if after := fmt.Sprint(b.capacity.info(), len(b.networks.members)); after != before {
		b.t.Errorf("%s leaves %s, before %s", req.Name, after, before)
	}
}

func wantError(t *testing.T, err error, code api.Code, field, says string) {
	t.Helper()
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code != code || e.Field != field || !strings.Contains(e.Error(), says) {
		t.Errorf("got %v; want %s of field %q: %s", err, code, field, says)
	}
}

func ok[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// vpc and subnet make one.
func (b *bench) vpc(name, cidr string) api.VPC {
	b.t.Helper()
	v := api.VPC{Name: name, CIDR: cidr}
	v.Default()
	return ok[api.VPC](b.t)(b.CreateVPC(b.t.Context(), v))
}

func (b *bench) subnet(name, vpc, cidr string, ipv6 bool) api.Subnet {
	b.t.Helper()
	return ok[api.Subnet](b.t)(b.CreateSubnet(b.t.Context(), api.Subnet{Name: name, VPC: vpc, CIDR: cidr, IPv6: ipv6}))
}

func (b *bench) group(name string, ingress ...api.Rule) api.SecurityGroup {
	b.t.Helper()
	g := api.SecurityGroup{Name: name, Ingress: ingress}
	g.Default()
	return ok[api.SecurityGroup](b.t)(b.CreateSecurityGroup(b.t.Context(), g))
}

// nicOf is the NIC that the host has for an instance.
func (b *bench) nicOf(ref string) network.NIC {
	b.t.Helper()
	in := b.untilRunning(ref)
	box, attached := b.networks.attached(in.ID)
	b.host.mu.Lock()
	defer b.host.mu.Unlock()
	n, there := b.host.nics[box.ID]
	if !attached || !there {
		b.t.Fatalf("%s has no NIC", ref)
	}
	return n
}

func TestAnInstanceIsInTheDefaultsUnlessItSays(t *testing.T) {
	b := newBench(t)
	in := b.create(request("a", "sleep"))
	if n := in.Spec.Network; n.VPC != "default" || n.Subnet != "default" || fmt.Sprint(n.SecurityGroups) != "[default]" {
		t.Errorf("placed in %+v", n)
	}
	n := b.nicOf("a")
	if n.VPC != "default" || fmt.Sprint(n.Groups) != "[sg-default]" || n.Address.String() != "10.0.0.2" || n.Address6.IsValid() {
		t.Errorf("%+v", n)
	}
	for kind, err := range map[string]error{"VPC": b.RemoveVPC(t.Context(), "default"), "subnet": b.RemoveSubnet(t.Context(), "subnet-default"),
		"security group": b.RemoveSecurityGroup(t.Context(), "default")} {
		wantError(t, err, api.Conflict, "", "the default "+kind+" is always there")
	}
}

// A record of a cisd that knew one network only.
func TestAnInstanceOfBeforeIsInTheDefaults(t *testing.T) {
	b := newBench(t)
	b.create(request("live", "sleep"))
	b.create(request("ended", "echo"))
	b.untilRunning("live")
	b.untilFinished("ended")
	for _, name := range []string{"live", "ended"} {
		rec, _ := b.find(t.Context(), name)
		if err := b.change(t.Context(), rec.ID, func(in *store.Instance) { in.Spec.Network = api.NetworkSpec{} }); err != nil {
			t.Fatal(err)
		}
	}
	b.reopen()
	for _, name := range []string{"live", "ended"} {
		if in, err := b.Get(t.Context(), name); err != nil || in.Spec.Network.Subnet != "default" || in.Spec.Network.SecurityGroups[0] != "default" {
			t.Errorf("%+v, %v", in.Spec.Network, err)
		}
	}
	if n := b.nicOf("live"); n.VPC != "default" || n.Groups[0] != "sg-default" {
		t.Errorf("%+v", n)
	}
}

func TestSubnetsFitTheirVPC(t *testing.T) {
	b := newBench(t)
	v := b.vpc("shop", "10.1.0.0/16")
	b.vpc("twin", "10.1.0.0/16")
	front := b.subnet("front", "shop", "10.1.1.0/24", true)
	b.subnet("back", v.ID, "10.1.2.0/24", true)
	b.subnet("front2", "twin", "10.1.1.0/24", false)
	whole := netip.MustParsePrefix(v.CIDR6)
	if p := netip.MustParsePrefix(front.CIDR6); p.Bits() != 64 || !whole.Contains(p.Addr()) || whole.Bits() != 48 || front.Available != 253 {
		t.Errorf("%+v of %s", front, whole)
	}
	for _, tt := range []struct {
		s           api.Subnet
		code        api.Code
		field, says string
	}{
		{api.Subnet{Name: "c", VPC: "shop", CIDR: "10.1.0.0/16"}, api.Conflict, "cidr", "overlaps 10.1.2.0/24 of subnet back"},
		{api.Subnet{Name: "c", VPC: "shop", CIDR: "10.1.1.128/25"}, api.Conflict, "cidr", "overlaps 10.1.1.0/24 of subnet front"},
		{api.Subnet{Name: "c", VPC: "shop", CIDR: "10.2.0.0/24"}, api.Invalid, "cidr", "not inside 10.1.0.0/16 of VPC shop"},
		{api.Subnet{Name: "c", VPC: "shop", CIDR: "10.0.0.0/8"}, api.Invalid, "cidr", "not inside"},
		{api.Subnet{Name: "c", VPC: "none", CIDR: "10.2.0.0/24"}, api.Invalid, "vpc", `no VPC "none"`},
		{api.Subnet{Name: "front", VPC: "shop", CIDR: "10.1.3.0/24"}, api.Conflict, "name", "exists"},
	} {
		_, err := b.CreateSubnet(t.Context(), tt.s)
		wantError(t, err, tt.code, tt.field, tt.says)
	}
	if all, _ := b.Subnets(t.Context()); len(all) != 4 {
		t.Errorf("%d subnets: refused ones are left", len(all))
	}
}

// What the host's network refuses is on no record.
func TestAVPCThatCannotBeMadeIsNot(t *testing.T) {
	b := newBench(t)
	_, err := b.CreateVPC(t.Context(), api.VPC{Name: "bad", CIDR: "10.0.0.0/8", HostReachable: true})
	wantError(t, err, api.Invalid, "cidr", "which the host reaches too")
	if all, _ := b.VPCs(t.Context()); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	v := b.vpc("good", "10.0.0.0/8")
	_, err = b.UpdateVPC(t.Context(), "good", api.VPCUpdate{HostReachable: new(true)})
	wantError(t, err, api.Invalid, "cidr", "which the host reaches too")
	if after, _ := b.VPC(t.Context(), v.ID); after.HostReachable || after.Revision != 1 || b.host.vpcs["good"].HostReachable {
		t.Errorf("a refused change is left: %+v", after)
	}
	after, err := b.UpdateVPC(t.Context(), "good", api.VPCUpdate{Egress: &api.Egress{Mode: api.EgressRules,
		Allow: []api.Rule{{Protocol: api.ProtocolTCP, Ports: "443", CIDR: "1.1.1.0/24"}}}, Revision: 1})
	if err != nil || after.Revision != 2 {
		t.Fatalf("%+v, %v", after, err)
	}
	want := network.Rule{Protocol: network.TCP, First: 443, Last: 443, ICMPType: -1, ICMPCode: -1, Peer: netip.MustParsePrefix("1.1.1.0/24")}
	if got := b.host.vpcs["good"].Egress; got.Mode != network.EgressRules || len(got.Allow) != 1 || got.Allow[0] != want {
		t.Errorf("the network has %+v", got)
	}
	_, err = b.UpdateVPC(t.Context(), "good", api.VPCUpdate{Revision: 1})
	wantError(t, err, api.Conflict, "", "at revision 2, not 1")
}

func TestPlaces(t *testing.T) {
	b := newBench(t)
	b.vpc("shop", "10.1.0.0/16")
	b.vpc("empty", "10.2.0.0/16")
	b.refuses(place("x", api.NetworkSpec{VPC: "empty"}), api.Invalid, "network.vpc", "has no subnet")
	b.refuses(place("x", api.NetworkSpec{VPC: "none"}), api.Invalid, "network.vpc", `no VPC "none"`)
	b.refuses(place("x", api.NetworkSpec{Subnet: "none"}), api.Invalid, "network.subnet", `no subnet "none"`)
	b.refuses(place("x", api.NetworkSpec{SecurityGroups: []string{"none"}}), api.Invalid, "network.securityGroups", `no security group "none"`)
	b.subnet("front", "shop", "10.1.1.0/24", true)
	b.create(place("a", api.NetworkSpec{VPC: "shop"}))
	in := b.untilRunning("a")
	if s := in.Status; s.Address != "10.1.1.2" || !strings.HasSuffix(s.Address6, ":a01:102") || in.Spec.Network.Subnet != "front" {
		t.Errorf("%+v of %+v", s, in.Spec.Network)
	}
	if n := b.nicOf("a"); n.VPC != "shop" || n.Address.String() != in.Status.Address || n.Address6.String() != in.Status.Address6 {
		t.Errorf("%+v", n)
	}
	b.subnet("back", "shop", "10.1.2.0/24", false)
	b.refuses(place("x", api.NetworkSpec{VPC: "shop"}), api.Invalid, "network.subnet", "back, front")
	b.refuses(place("x", api.NetworkSpec{VPC: "default", Subnet: "back"}), api.Invalid, "network.subnet", "is in VPC shop, not default")
	// Names are known in their own VPC alone.
	r := resolver{b.names}
	if got := r.Lookup("shop", "a"); len(got) != 2 || got[0].String() != "10.1.1.2" || len(r.Lookup("default", "a")) != 0 {
		t.Errorf("a is %v", got)
	}
	if got := r.Reverse("shop", netip.MustParseAddr(in.Status.Address6)); fmt.Sprint(got) != "[a]" || r.Reverse("default", netip.MustParseAddr("10.1.1.2")) != nil {
		t.Errorf("reverse %v", got)
	}
	wantError(t, b.RemoveSubnet(t.Context(), "front"), api.Conflict, "", "used by instances: a")
	wantError(t, b.RemoveVPC(t.Context(), "shop"), api.Conflict, "", "has subnets: back, front")
	b.remove("a", true)
	if len(r.Lookup("shop", "a")) != 0 {
		t.Error("a name outlives its instance")
	}
	for _, err := range []error{b.RemoveSubnet(t.Context(), "front"), b.RemoveSubnet(t.Context(), "back"), b.RemoveVPC(t.Context(), "shop")} {
		if err != nil {
			t.Error(err)
		}
	}
	if _, left := b.host.vpcs["shop"]; left {
		t.Error("the network of a removed VPC is left")
	}
}

// An instance that removes itself lets its subnet go when its sandbox is gone.
func TestASubnetWaitsForSandboxesThatLeave(t *testing.T) {
	b := newBench(t)
	b.vpc("shop", "10.1.0.0/16")
	b.subnet("front", "shop", "10.1.1.0/29", false)
	for i := range 4 { // of five addresses
		req := place(fmt.Sprintf("a%d", i), api.NetworkSpec{Subnet: "front"})
		req.Containers[0].Args, req.RemoveAfter = []string{"echo", "hi"}, true
		in := b.create(req)
		if _, err := b.Wait(t.Context(), in.ID); err != nil {
			t.Fatal(err)
		}
	}
	for {
		err := b.RemoveSubnet(t.Context(), "front")
		if err == nil {
			break
		}
		wantError(t, err, api.Conflict, "", "used by instances: a") // it is just ending
	}
	if err := b.RemoveVPC(t.Context(), "shop"); err != nil {
		t.Error(err)
	}
}

func TestFixedAddresses(t *testing.T) {
	b := newBench(t)
	fixed := func(name, addr string) api.CreateInstance { return place(name, api.NetworkSpec{Address: addr}) }
	b.refuses(fixed("x", "10.0.1.9"), api.Invalid, "network.address", "subnet default (10.0.0.0/24)")
	b.refuses(fixed("x", "10.0.0.1"), api.Invalid, "network.address", "not one of the addresses")
	b.refuses(fixed("x", "10.0.0.255"), api.Invalid, "network.address", "not one of the addresses")
	b.create(fixed("a", "10.0.0.9"))
	if in := b.untilRunning("a"); in.Status.Address != "10.0.0.9" {
		t.Errorf("got %s", in.Status.Address)
	}
	b.refuses(fixed("b", "10.0.0.9"), api.Conflict, "network.address", "in use by instance a")
	b.reopen()
	b.refuses(fixed("b", "10.0.0.9"), api.Conflict, "network.address", "in use")
	b.remove("a", true)
	b.create(fixed("b", "10.0.0.9"))
	if n := b.nicOf("b"); n.Address.String() != "10.0.0.9" {
		t.Errorf("%+v", n)
	}
}

// Each subnet has its own place where the search for addresses goes on, over restarts.
func TestAddressesOfSubnetsAreGivenInTurn(t *testing.T) {
	b := newBench(t)
	b.vpc("shop", "10.1.0.0/16")
	b.subnet("front", "shop", "10.1.1.0/28", false)
	var got []string
	for i := range 4 {
		b.create(place("a", api.NetworkSpec{Subnet: "front"}))
		b.create(request("b", "sleep"))
		got = append(got, b.untilRunning("a").Status.Address, b.untilRunning("b").Status.Address)
		b.remove("a", true)
		b.remove("b", true)
		if i == 1 {
			b.reopen()
		}
	}
	want := "[10.1.1.2 10.0.0.2 10.1.1.3 10.0.0.3 10.1.1.4 10.0.0.4 10.1.1.5 10.0.0.5]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

func TestGroupsReachTheNetwork(t *testing.T) {
	b := newBench(t)
	web := b.group("web", api.Rule{Protocol: api.ProtocolTCP, Ports: "80-81", CIDR: "10.0.0.0/8"})
	db := b.group("db", api.Rule{Protocol: api.ProtocolTCP, Ports: "5432", SecurityGroup: web.ID})
	if db.Ingress[0].SecurityGroup != "web" {
		t.Errorf("a rule refers to %q", db.Ingress[0].SecurityGroup)
	}
	_, err := b.CreateSecurityGroup(t.Context(), api.SecurityGroup{Name: "x", Egress: []api.Rule{{SecurityGroup: "none"}}})
	wantError(t, err, api.Invalid, "egress[0].securityGroup", `no security group "none"`)
	b.create(place("a", api.NetworkSpec{SecurityGroups: []string{"db", db.ID, "default"}}))
	if n := b.nicOf("a"); fmt.Sprint(n.Groups) != fmt.Sprintf("[%s sg-default]", db.ID) {
		t.Errorf("%+v", n)
	}
	// The network knows the group that a rule refers to, too.
	rule := func(id string) network.Rule {
		b.host.mu.Lock()
		defer b.host.mu.Unlock()
		for _, g := range b.host.groups["default"] {
			if g.ID == id {
				return g.Ingress[0]
			}
		}
		t.Fatalf("the network has no group %s", id)
		return network.Rule{}
	}
	if r := rule(db.ID); r.Group != web.ID || r.First != 5432 || rule(web.ID).Last != 81 {
		t.Errorf("%+v", r)
	}
	u := api.SecurityGroupUpdate{Ingress: []api.Rule{{Protocol: api.ProtocolUDP, Ports: "53"}}, Revision: 1}
	if g, err := b.UpdateSecurityGroup(t.Context(), "web", u); err != nil || g.Revision != 2 || rule(web.ID).Protocol != network.UDP {
		t.Errorf("%+v, %v", g, err)
	}
	_, err = b.UpdateSecurityGroup(t.Context(), "web", u)
	wantError(t, err, api.Conflict, "", "changed meanwhile")
	// A change that the network refuses is undone.
	b.host.refuse = errors.New("no")
	u = api.SecurityGroupUpdate{Ingress: []api.Rule{}}
	if _, err := b.UpdateSecurityGroup(t.Context(), "web", u); err == nil {
		t.Error("a refused change is no error")
	}
	b.host.refuse = nil
	if g, _ := b.SecurityGroup(t.Context(), "web"); len(g.Ingress) != 1 || g.Revision != 2 {
		t.Errorf("%+v", g)
	}
	wantError(t, b.RemoveSecurityGroup(t.Context(), "db"), api.Conflict, "", "used by instances: a")
	wantError(t, b.RemoveSecurityGroup(t.Context(), "web"), api.Conflict, "", "a rule of security group db")
	b.reopen()
	if r := rule(db.ID); r.Group != web.ID {
		t.Errorf("after a restart %+v", r)
	}
	wantError(t, b.RemoveSecurityGroup(t.Context(), "db"), api.Conflict, "", "used by instances: a")
	b.remove("a", true)
	for _, name := range []string{"db", "web"} {
		if err := b.RemoveSecurityGroup(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// A waiting sandbox gets what its instance asks for when it is taken.
func TestAStandbyNICIsChangedWhenItIsTaken(t *testing.T) {
	shapes := StandbyConfig{Shapes: []StandbyShape{{CPU: 500, Memory: 256 * api.MiB, Count: 1}}, MaxMemory: api.GiB}
	b := newBench(t, func(c *Config) { c.Standby = shapes })
	b.untilReady(1)
	b.create(request("plain", "sleep"))
	b.untilRunning("plain")
	if b.host.updates != 0 {
		t.Error("a NIC was changed that was as it should be")
	}
	b.untilReady(1)
	web := b.group("web")
	b.create(place("a", api.NetworkSpec{SecurityGroups: []string{"web"}, Bandwidth: api.Bandwidth{In: api.Mbit}, Ports: []api.PublishedPort{{HostPort: 80, Port: 8080}}}))
	n := b.nicOf("a")
	if in := b.untilRunning("a"); !in.Status.Standby || fmt.Sprint(n.Groups) != "["+web.ID+"]" || n.Bandwidth.In != 1e6 || len(n.Ports) != 1 {
		t.Errorf("%+v, from the pool: %t", n, in.Status.Standby)
	}
	// Another subnet has none that wait.
	b.vpc("shop", "10.1.0.0/16")
	b.subnet("front", "shop", "10.1.1.0/24", false)
	b.untilReady(1)
	b.create(place("c", api.NetworkSpec{Subnet: "front"}))
	if b.untilRunning("c").Status.Standby {
		t.Error("a sandbox of another subnet came from the pool")
	}
}

func TestPublishedPorts(t *testing.T) {
	b := newBench(t)
	port := func(host, target int) api.PublishedPort { return api.PublishedPort{HostPort: host, Port: target} }
	b.create(place("a", api.NetworkSpec{Ports: []api.PublishedPort{port(8080, 80), port(0, 81), port(0, 82)}}))
	in := b.untilRunning("a")
	p := in.Status.Ports
	if len(p) != 3 || p[0].HostPort != 8080 || p[1].HostPort < 40000 || p[1].HostPort == p[2].HostPort || in.Spec.Network.Ports[1].HostPort != 0 {
		t.Fatalf("%+v", p)
	}
	if n := b.nicOf("a"); n.Ports[0] != (network.Port{Protocol: network.TCP, HostPort: 8080, Target: 80}) || int(n.Ports[1].HostPort) != p[1].HostPort {
		t.Errorf("%+v", n.Ports)
	}
	b.refuses(place("b", api.NetworkSpec{Ports: []api.PublishedPort{port(1, 1), port(8080, 1)}}), api.Conflict, "network.ports[1].hostPort", "8080/TCP of the host is used by instance a")
	b.refuses(place("b", api.NetworkSpec{Ports: []api.PublishedPort{port(1, 1), port(60000, 1)}}), api.Conflict, "network.ports[1].hostPort", "in use by sshd")
	absent := port(1, 1)
	absent.HostAddress = "192.0.2.2"
	b.refuses(place("b", api.NetworkSpec{Ports: []api.PublishedPort{absent}}), api.Invalid, "network.ports[0].hostAddress", "not an address of the host")
	udp := port(8080, 80)
	udp.Protocol = "UDP"
	b.create(place("c", api.NetworkSpec{Ports: []api.PublishedPort{udp}}))
	b.untilRunning("c")
	b.reopen()
	b.refuses(place("b", api.NetworkSpec{Ports: []api.PublishedPort{port(p[1].HostPort, 1)}}), api.Conflict, "network.ports[0].hostPort", "used by instance a")
	// An instance that has ended needs none, and gets the same ones back if they are free.
	if _, err := b.Stop(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	b.create(place("b", api.NetworkSpec{Ports: []api.PublishedPort{port(8080, 1)}}))
	_, err := b.Start(t.Context(), "a")
	wantError(t, err, api.Conflict, "network.ports[0].hostPort", "used by instance b")
	b.remove("b", true)
	again, err := b.Start(t.Context(), "a")
	if err != nil || !slices.Equal(again.Status.Ports, p) {
		t.Errorf("%+v, %v; want %+v", again.Status.Ports, err, p)
	}
}

func TestInstancesChangeTheirGroups(t *testing.T) {
	b := newBench(t)
	web, db := b.group("web"), b.group("db")
	b.create(request("a", "sleep"))
	b.create(place("b", api.NetworkSpec{SecurityGroups: []string{"web"}}))
	groups := func(ref string) string {
		in, _ := b.Get(t.Context(), ref)
		return fmt.Sprint(b.nicOf(ref).Groups, in.Spec.Network.SecurityGroups)
	}
	set := func(ref string, names ...string) error {
		_, err := b.SetSecurityGroups(t.Context(), ref, api.InstanceGroups{SecurityGroups: names})
		return err
	}
	b.untilRunning("b")
	if err := errors.Join(set("a", "web", db.ID, "db"), set("b", "db")); err != nil {
		t.Fatal(err)
	}
	if a, two := groups("a"), groups("b"); a != fmt.Sprintf("[%s %s] [web db]", web.ID, db.ID) || two != fmt.Sprintf("[%s] [db]", db.ID) {
		t.Errorf("%s, %s", a, two)
	}
	wantError(t, b.RemoveSecurityGroup(t.Context(), "web"), api.Conflict, "", "used by instances: a")
	wantError(t, set("a", "none"), api.Invalid, "securityGroups", `no security group "none"`)
	wantError(t, set("none", "web"), api.NotFound, "", "none")
	// What the network refuses stays as it was.
	b.host.refuse = errors.New("no")
	if set("a", "default") == nil {
		t.Error("a refused change is no error")
	}
	b.host.refuse = nil
	if a := groups("a"); a != fmt.Sprintf("[%s %s] [web db]", web.ID, db.ID) {
		t.Errorf("after a refusal %s", a)
	}
	b.reopen()
	if a := groups("a"); a != fmt.Sprintf("[%s %s] [web db]", web.ID, db.ID) {
		t.Errorf("after a restart %s", a)
	}
	// One that has ended changes for its next run.
	if _, err := b.Stop(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	b.untilFinished("a")
	if err := errors.Join(set("a", "default"), b.RemoveSecurityGroup(t.Context(), "web")); err != nil {
		t.Error(err)
	}
	if _, err := b.Start(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if a := groups("a"); a != "[sg-default] [default]" {
		t.Errorf("%s", a)
	}
}

func withPublic(c *Config) {
	c.PublicAddresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.8/30"), netip.MustParsePrefix("203.0.113.1/32")}
}

func TestPublicAddressesAreBoundAndMoved(t *testing.T) {
	b := newBench(t, withPublic)
	make := ok[api.Address](t)
	a := make(b.CreateAddress(t.Context(), api.Address{Name: "front"}))
	if a.Address != "203.0.113.8" || !strings.HasPrefix(a.ID, "eip-") {
		t.Errorf("%+v", a)
	}
	if other := make(b.CreateAddress(t.Context(), api.Address{})); other.Address != "203.0.113.9" || other.Name != other.ID {
		t.Errorf("%+v", other)
	}
	_, err := b.CreateAddress(t.Context(), api.Address{Address: "203.0.113.8"})
	wantError(t, err, api.Conflict, "address", "is public address front already")
	_, err = b.CreateAddress(t.Context(), api.Address{Address: "203.0.113.2"})
	wantError(t, err, api.Invalid, "address", "not in this cisd's pool")
	public := func(ref string) string { return fmt.Sprint(b.nicOf(ref).Public) }
	status := func(ref string) string { in, _ := b.Get(t.Context(), ref); return in.Status.PublicAddress }

	b.create(place("x", api.NetworkSpec{PublicAddress: "front"}))
	b.create(request("y", "sleep"))
	if public("x") != "[203.0.113.8]" || status("x") != "203.0.113.8" || public("y") != "[]" {
		t.Errorf("x %s %s, y %s", public("x"), status("x"), public("y"))
	}
	b.refuses(place("z", api.NetworkSpec{PublicAddress: "front"}), api.Conflict, "network.publicAddress", "bound to instance x")
	b.refuses(place("z", api.NetworkSpec{PublicAddress: "none"}), api.Invalid, "network.publicAddress", `no public address "none"`)
	wantError(t, b.RemoveAddress(t.Context(), "front"), api.Conflict, "", "bound to instance x")
	b.reopen()
	moved := make(b.BindAddress(t.Context(), "front", "y"))
	if moved.Instance != "y" || public("x") != "[]" || public("y") != "[203.0.113.8]" || status("x") != "" || status("y") != "203.0.113.8" {
		t.Errorf("%+v: x %s %s, y %s %s", moved, public("x"), status("x"), public("y"), status("y"))
	}
	second := make(b.CreateAddress(t.Context(), api.Address{Name: "second"}))
	_, err = b.BindAddress(t.Context(), "second", "y")
	wantError(t, err, api.Conflict, "", "has public address front already")
	// What the network refuses stays as it was.
	b.host.refuse = errors.New("no")
	if _, err := b.BindAddress(t.Context(), "front", "x"); err == nil {
		t.Error("a refused move is no error")
	}
	b.host.refuse = nil
	if got, _ := b.Address(t.Context(), "front"); got.Instance != "y" || status("y") != "203.0.113.8" {
		t.Errorf("%+v", got)
	}
	if free := make(b.UnbindAddress(t.Context(), "front")); free.Instance != "" || public("y") != "[]" || status("y") != "" {
		t.Errorf("%+v", free)
	}
	// One that has ended keeps its address until it is removed.
	make(b.BindAddress(t.Context(), second.ID, "x"))
	if _, err := b.Stop(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.Address(t.Context(), "second"); got.Instance != "x" || status("x") != second.Address {
		t.Errorf("%+v", got)
	}
	b.remove("x", false)
	if got, _ := b.Address(t.Context(), "second"); got.InstanceID != "" {
		t.Errorf("%+v", got)
	}
}

func TestAnAutomaticAddressComesAndGoesWithItsInstance(t *testing.T) {
	b := newBench(t, withPublic)
	var given []string
	for range 6 {
		b.create(place("a", api.NetworkSpec{PublicAddress: "auto"}))
		given = append(given, fmt.Sprint(b.nicOf("a").Public))
		_, err := b.UnbindAddress(t.Context(), ok[[]api.Address](t)(b.Addresses(t.Context()))[0].Name)
		wantError(t, err, api.Conflict, "", "comes and goes with instance a")
		b.remove("a", true)
		if all, _ := b.Addresses(t.Context()); len(all) != 0 {
			t.Fatalf("%+v are left", all)
		}
	}
	if want := "[[203.0.113.8] [203.0.113.9] [203.0.113.10] [203.0.113.11] [203.0.113.8] [203.0.113.9]]"; fmt.Sprint(given) != want {
		t.Errorf("given %v, want the one longest unused: %s", given, want)
	}
	for i := range 5 {
		b.create(place(fmt.Sprintf("n%d", i), api.NetworkSpec{PublicAddress: "auto"}))
	}
	b.refuses(place("x", api.NetworkSpec{PublicAddress: "auto"}), api.Exhausted, "network.publicAddress", "every public address is taken")
	// An address whose instance never came to be on record is found at the next start.
	stranger := api.Address{ID: "eip-1", Account: account.Default, Name: "lost", Address: "203.0.113.20", InstanceID: "i-0"}
	if err := b.keepAddress(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	if got, err := b.Address(t.Context(), "lost"); err != nil || got.InstanceID != "" {
		t.Errorf("%+v, %v", got, err)
	}
	b.refuses(place("x", api.NetworkSpec{PublicAddress: "lost", Address: "10.0.9.9"}), api.Invalid, "network.address", "not one of")
	if got, _ := b.Address(t.Context(), "lost"); got.InstanceID != "" {
		t.Errorf("a refused create has bound %+v", got)
	}
}

// What leads to a VPC's router is on record, and is told to the network as a whole.
func TestWaysToARouter(t *testing.T) {
	b := newBench(t, withPublic)
	ways := func() string {
		b.host.mu.Lock()
		defer b.host.mu.Unlock()
		return fmt.Sprint(b.host.vpcs["default"].Ways)
	}
	make := ok[api.Address](t)
	make(b.CreateAddress(t.Context(), api.Address{Name: "front"}))
	b.create(place("x", api.NetworkSpec{PublicAddress: "front", Ports: []api.PublishedPort{{HostPort: 8080, Port: 80}}}))
	b.untilRunning("x")
	update := func(u api.VPCUpdate) error { u.Default(); _, err := b.UpdateVPC(t.Context(), "default", u); return err }
	port := func(n int) []api.PublishedPort { return []api.PublishedPort{{HostPort: n}} }
	wantError(t, update(api.VPCUpdate{Ports: port(8080)}), api.Conflict, "ports[0].hostPort", "used by instance x")
	wantError(t, update(api.VPCUpdate{Ports: port(60000)}), api.Conflict, "ports[0].hostPort", "in use by sshd")
	if err := update(api.VPCUpdate{Ports: port(30080), Routes: []string{"10.96.0.0/16"}}); err != nil {
		t.Error(err)
	}
	b.refuses(place("y", api.NetworkSpec{Ports: []api.PublishedPort{{HostPort: 30080, Port: 1}}}), api.Conflict, "network.ports[0].hostPort", "used by VPC default")

	a := make(b.RouteAddress(t.Context(), "front", "default"))
	if a.VPC != "default" || a.Instance != "" || fmt.Sprint(b.nicOf("x").Public) != "[]" || ways() != "{[30080/tcp] [203.0.113.8] [10.96.0.0/16]}" {
		t.Errorf("%+v %s", a, ways())
	}
	b.reopen()
	if ways() != "{[30080/tcp] [203.0.113.8] [10.96.0.0/16]}" {
		t.Errorf("after a restart %s", ways())
	}
	b.refuses(place("y", api.NetworkSpec{PublicAddress: "front"}), api.Conflict, "network.publicAddress", "bound to VPC default")
	wantError(t, b.RemoveAddress(t.Context(), "front"), api.Conflict, "", "bound to VPC default")
	b.vpc("shop", "10.1.0.0/16")
	make(b.RouteAddress(t.Context(), "front", "shop"))
	wantError(t, b.RemoveVPC(t.Context(), "shop"), api.Conflict, "", "public address front is bound to VPC shop")
	if ways() != "{[30080/tcp] [] [10.96.0.0/16]}" {
		t.Errorf("after a move %s", ways())
	}
	_, err := b.RouteAddress(t.Context(), "front", "none")
	wantError(t, err, api.Invalid, "vpc", `no VPC "none"`)
	make(b.BindAddress(t.Context(), "front", "x"))
	if fmt.Sprint(b.nicOf("x").Public) != "[203.0.113.8]" {
		t.Errorf("%v", b.nicOf("x").Public)
	}
	make(b.UnbindAddress(t.Context(), "front"))
	if err := errors.Join(b.RemoveVPC(t.Context(), "shop"), b.RemoveAddress(t.Context(), "front"), update(api.VPCUpdate{Ports: []api.PublishedPort{}, Routes: []string{}})); err != nil || ways() != "{[] [] []}" {
		t.Errorf("%v %s", err, ways())
	}
}

func TestWithoutAPoolThereAreNoPublicAddresses(t *testing.T) {
	b := newBench(t)
	b.refuses(place("x", api.NetworkSpec{PublicAddress: "auto"}), api.Exhausted, "network.publicAddress", "-public-addresses")
}

func TestChecksAndFlows(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.create(request("b", "sleep"))
	b.untilRunning("a")
	b.untilRunning("b")
	check := func(to string, port int, protocol api.Protocol) api.NetworkVerdict {
		t.Helper()
		return ok[api.NetworkVerdict](t)(b.CheckNetwork(t.Context(), api.NetworkCheck{From: "a", To: to, Port: port, Protocol: protocol}))
	}
	if v := check("b", 80, api.ProtocolTCP); !v.Allowed || v.Tried != api.TryConnected || v.Steps[0].By != "egress rule 1 of default" || v.Address != "10.0.0.3" {
		t.Errorf("%+v", v)
	}
	if v := check("1.1.1.1", 1, api.ProtocolUDP); v.Allowed || v.Tried != api.TryNoAnswer || !strings.Contains(v.Detail, "proves nothing") || v.Steps[1].By != "1.1.1.1 udp" {
		t.Errorf("%+v", v)
	}
	_, err := b.CheckNetwork(t.Context(), api.NetworkCheck{From: "a", To: "none", Port: 1, Protocol: api.ProtocolTCP})
	wantError(t, err, api.Invalid, "to", `no instance "none"`)
	_, err = b.CheckNetwork(t.Context(), api.NetworkCheck{From: "a", To: "fd00::1", Port: 1, Protocol: api.ProtocolTCP})
	wantError(t, err, api.Invalid, "to", "instance a has none")
	flows, err := b.Flows(t.Context(), "default")
	if err != nil || len(flows) != 2 || flows[0].SourceInstance == "" || flows[0].Protocol != "udp" {
		t.Errorf("%+v, %v", flows, err)
	}
	traffic, err := b.Traffic(t.Context())
	if err != nil || len(traffic) != 2 || traffic[0].RxBytes != 1 || traffic[0].VPC != "default" {
		t.Errorf("%+v, %v", traffic, err)
	}
	if _, err := b.Stop(t.Context(), "b", nil); err != nil {
		t.Fatal(err)
	}
	_, err = b.CheckNetwork(t.Context(), api.NetworkCheck{From: "a", To: "b", Port: 1, Protocol: api.ProtocolTCP})
	wantError(t, err, api.Conflict, "to", "not on the network now")
}

func TestResolvConf(t *testing.T) {
	b := newBench(t)
	b.vpc("shop", "10.1.0.0/16")
	b.subnet("front", "shop", "10.1.1.0/24", false)
	req := place("a", api.NetworkSpec{Subnet: "front"})
	req.DNSConfig = &api.DNSConfig{Nameservers: []string{"1.1.1.1"}, Searches: []string{"example.com"}, Options: []api.DNSOption{{Name: "ndots", Value: "2"}, {Name: "edns0"}}}
	b.create(req)
	b.untilRunning("a")
	if w := b.host.only(t).Workload(); fmt.Sprint(w.Nameservers, w.Searches, w.ResolverOptions) != "[169.254.1.1 1.1.1.1] [shop.internal example.com] [ndots:2 edns0]" {
		t.Errorf("%v %v %v", w.Nameservers, w.Searches, w.ResolverOptions)
	}
	b.remove("a", true)
	req.DNSPolicy = api.DNSNone
	b.create(req)
	b.untilRunning("a")
	if w := b.host.only(t).Workload(); fmt.Sprint(w.Nameservers, w.Searches) != "[1.1.1.1] [example.com]" {
		t.Errorf("%v %v", w.Nameservers, w.Searches)
	}
}

// The default VPC follows -cidr, while nothing runs in the old range.
func TestTheDefaultVPCFollowsItsFlag(t *testing.T) {
	b := newBench(t)
	before, _ := b.VPC(t.Context(), "default")
	b.config.CIDR = netip.MustParsePrefix("10.9.0.0/24")
	b.reopen()
	after, _ := b.VPC(t.Context(), "default")
	if after.CIDR != "10.9.0.0/24" || after.CIDR6 != before.CIDR6 || after.ID != "vpc-default" {
		t.Errorf("%+v, before %+v", after, before)
	}
	b.create(request("a", "sleep"))
	if n := b.nicOf("a"); n.Address.String() != "10.9.0.2" {
		t.Errorf("%+v", n)
	}
}

// What somebody changes by hand is put right.
func TestTheNetworkIsMended(t *testing.T) {
	b := newBench(t, withPublic)
	b.vpc("shop", "10.1.0.0/16")
	b.subnet("front", "shop", "10.1.1.0/24", true)
	b.create(place("a", api.NetworkSpec{Subnet: "front", PublicAddress: "auto", Ports: []api.PublishedPort{{Port: 80}}}))
	before := b.nicOf("a")
	b.host.mu.Lock()
	clear(b.host.nics)
	clear(b.host.vpcs)
	clear(b.host.groups)
	b.host.nics["s-stranger"] = network.NIC{ID: "s-stranger"}
	b.host.mu.Unlock()
	if err := b.mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := b.nicOf("a"); !sameNIC(after, before) || after.VPC != "shop" || len(b.host.nics) != 1 || len(b.host.vpcs) != 2 {
		t.Errorf("%+v, before %+v", after, before)
	}
}

// Whatever is asked for at once, nothing is given twice and nothing is left.
func TestManyAtOnce(t *testing.T) {
	b := newBench(t, withPublic)
	b.vpc("shop", "10.1.0.0/16")
	b.subnet("front", "shop", "10.1.1.0/24", true)
	b.group("web")
	address := ok[api.Address](t)(b.CreateAddress(t.Context(), api.Address{Name: "moves"}))
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			for range 4 {
				spec := api.NetworkSpec{Subnet: "front", SecurityGroups: []string{"web"}, Ports: []api.PublishedPort{{Port: 80}}}
				if i%3 == 0 {
					spec.PublicAddress = "auto"
				}
				in, _, err := b.Create(t.Context(), place("", spec))
				if api.CodeOf(err) == api.Exhausted {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := b.BindAddress(t.Context(), "moves", in.ID); err != nil && api.CodeOf(err) != api.Conflict {
					t.Error(err)
				}
				if _, err := b.UpdateSecurityGroup(t.Context(), "web", api.SecurityGroupUpdate{Egress: []api.Rule{{}}}); err != nil {
					t.Error(err)
				}
				if err := b.Remove(t.Context(), in.ID, true, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	mended := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(mended)
		for {
			select {
			case <-over:
				return
			default:
				if err := b.mend(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	all.Wait()
	close(over)
	<-mended
	b.untilClean()
	if got, _ := b.Address(t.Context(), address.ID); got.InstanceID != "" {
		t.Errorf("%+v", got)
	}
	for _, err := range []error{b.RemoveAddress(t.Context(), "moves"), b.RemoveSubnet(t.Context(), "front"), b.RemoveVPC(t.Context(), "shop"), b.RemoveSecurityGroup(t.Context(), "web")} {
		if err != nil {
			t.Error(err)
		}
	}
	if left, _ := b.Addresses(t.Context()); len(left)+len(b.networks.members) != 0 {
		t.Errorf("left: %+v, %d members", left, len(b.networks.members))
	}
}
