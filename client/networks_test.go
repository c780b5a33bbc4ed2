package client_test

import (
	"testing"

	"cis/api"
)

func TestNetworks(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	v, err := w.CreateVPC(ctx, api.VPC{Name: "shop", CIDR: "10.1.0.0/16"})
	if err != nil || v.Egress.Mode != api.EgressOn {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = w.CreateVPC(ctx, api.VPC{Name: "shop", CIDR: "10.1.0.0/16"})
	wantCode(t, err, api.Conflict)
	if v, err = w.UpdateVPC(ctx, "shop", api.VPCUpdate{HostReachable: new(true)}); err != nil || !v.HostReachable {
		t.Errorf("%+v, %v", v, err)
	}
	if all, err := w.VPCs(ctx); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if v, err = w.VPC(ctx, "shop"); err != nil || v.Revision != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	if flows, err := w.Flows(ctx, "shop"); err != nil || len(flows) != 2 {
		t.Errorf("%+v, %v", flows, err)
	}
	if s, err := w.CreateSubnet(ctx, api.Subnet{Name: "front", VPC: "shop", CIDR: "10.1.1.0/24"}); err != nil || s.Available == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if all, err := w.Subnets(ctx); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if s, err := w.Subnet(ctx, "front"); err != nil || s.VPC != "shop" {
		t.Errorf("%+v, %v", s, err)
	}
	// An empty list of rules is one, and arrives.
	g, err := w.CreateSecurityGroup(ctx, api.SecurityGroup{Name: "web", Ingress: []api.Rule{}})
	if err != nil || len(g.Ingress) != 0 || len(g.Egress) != 1 {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err = w.UpdateSecurityGroup(ctx, "web", api.SecurityGroupUpdate{Egress: []api.Rule{}, Revision: g.Revision}); err != nil || len(g.Egress) != 0 {
		t.Errorf("%+v, %v", g, err)
	}
	_, err = w.UpdateSecurityGroup(ctx, "web", api.SecurityGroupUpdate{Revision: 1})
	wantCode(t, err, api.Conflict)
	if all, err := w.SecurityGroups(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if g, err = w.SecurityGroup(ctx, "web"); err != nil || g.Revision != 2 {
		t.Errorf("%+v, %v", g, err)
	}
	for _, err := range []error{w.RemoveSecurityGroup(ctx, "web"), w.RemoveSubnet(ctx, "front"), w.RemoveVPC(ctx, "shop")} {
		if err != nil {
			t.Error(err)
		}
	}
	wantCode(t, w.RemoveVPC(ctx, "shop"), api.NotFound)
}

func TestAddresses(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	in, err := w.Create(ctx, api.CreateInstance{InstanceSpec: api.InstanceSpec{Name: "web", Containers: []api.Container{{Image: "a"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateAddress(ctx, api.Address{Name: "front"}); err != nil {
		t.Fatal(err)
	}
	if a, err := w.BindAddress(ctx, "front", "web"); err != nil || a.InstanceID != in.ID {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := w.Address(ctx, "front"); err != nil || a.Instance != "web" {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := w.UnbindAddress(ctx, "front"); err != nil || a.Instance != "" {
		t.Errorf("%+v, %v", a, err)
	}
	if all, err := w.Addresses(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := w.RemoveAddress(ctx, "front"); err != nil {
		t.Error(err)
	}
	if v, err := w.CheckNetwork(ctx, api.NetworkCheck{From: "web", To: "1.1.1.1", Port: 443}); err != nil || !v.Allowed || v.Protocol != api.ProtocolTCP {
		t.Errorf("%+v, %v", v, err)
	}
}
