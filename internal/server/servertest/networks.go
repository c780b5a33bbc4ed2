package servertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cis/api"
)

// networks keeps what is made of the network, by name.
type networks struct {
	vpcs      map[string]api.VPC
	subnets   map[string]api.Subnet
	groups    map[string]api.SecurityGroup
	addresses map[string]api.Address
	// Checks that were asked for.
	Checks []api.NetworkCheck
}

func newNetworks() networks {
	return networks{vpcs: map[string]api.VPC{"default": {ID: "vpc-default", Name: "default", CIDR: "10.64.0.0/16", CIDR6: "fd00::/48",
		HostReachable: true, Egress: api.Egress{Mode: api.EgressOn}, Revision: 1}},
		subnets: map[string]api.Subnet{"default": {ID: "subnet-default", Name: "default", VPC: "default", CIDR: "10.64.0.0/16", Available: 65533}},
		groups:  map[string]api.SecurityGroup{}, addresses: map[string]api.Address{}}
}

// within runs fn under the lock.
func within[T any](e *Engine, fn func() (T, error)) (T, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return fn()
}

func byName[T any](all map[string]T) []T {
	var sorted []T
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[name])
	}
	return sorted
}

func get[T any](all map[string]T, kind, name string) (T, error) {
	one, ok := all[name]
	if !ok {
		return one, api.Errorf(api.NotFound, "there is no %s %q", kind, name)
	}
	return one, nil
}

func add[T any](all map[string]T, kind, name string, one T) (T, error) {
	if _, ok := all[name]; ok {
		return one, api.Errorf(api.Conflict, "a %s named %q exists", kind, name)
	}
	all[name] = one
	return one, nil
}

func remove[T any](e *Engine, all map[string]T, kind, name string) error {
	_, err := within(e, func() (T, error) {
		one, err := get(all, kind, name)
		delete(all, name)
		return one, err
	})
	return err
}

// VPCs implements server.Engine.
func (e *Engine) VPCs(context.Context) ([]api.VPC, error) {
	return within(e, func() ([]api.VPC, error) { return byName(e.vpcs), nil })
}

// VPC implements server.Engine.
func (e *Engine) VPC(_ context.Context, ref string) (api.VPC, error) {
	return within(e, func() (api.VPC, error) { return get(e.vpcs, "VPC", ref) })
}

// CreateVPC implements server.Engine.
func (e *Engine) CreateVPC(_ context.Context, v api.VPC) (api.VPC, error) {
	v.ID, v.CIDR6, v.Revision = "vpc-"+v.Name, "fd00::/48", 1
	return within(e, func() (api.VPC, error) { return add(e.vpcs, "VPC", v.Name, v) })
}

// UpdateVPC implements server.Engine.
func (e *Engine) UpdateVPC(_ context.Context, ref string, u api.VPCUpdate) (api.VPC, error) {
	return within(e, func() (api.VPC, error) {
		v, err := get(e.vpcs, "VPC", ref)
		if err != nil {
			return v, err
		}
		if u.HostReachable != nil {
			v.HostReachable = *u.HostReachable
		}
		if u.Egress != nil {
			v.Egress = *u.Egress
		}
		if u.Labels != nil {
			v.Labels = u.Labels
		}
		if u.Ports != nil {
			v.Ports = u.Ports
		}
		if u.Routes != nil {
			v.Routes = u.Routes
		}
		v.Revision++
		e.vpcs[ref] = v
		return v, nil
	})
}

// RemoveVPC implements server.Engine.
func (e *Engine) RemoveVPC(_ context.Context, ref string) error {
	return remove(e, e.vpcs, "VPC", ref)
}

// Flows implements server.Engine; there is one of each kind.
func (e *Engine) Flows(ctx context.Context, ref string) ([]api.Flow, error) {
	if _, err := e.VPC(ctx, ref); err != nil {
		return nil, err
	}
	return []api.Flow{
		{Source: "10.64.0.2", SourceInstance: "web", Destination: "10.64.0.3", DestinationInstance: "db", Protocol: "tcp", Port: 5432, Allowed: true, Connections: 7},
		{Source: "10.64.0.2", SourceInstance: "web", Destination: "1.1.1.1", Protocol: "udp", Port: 53, Connections: 2},
	}, nil
}

// Subnets implements server.Engine.
func (e *Engine) Subnets(context.Context) ([]api.Subnet, error) {
	return within(e, func() ([]api.Subnet, error) { return byName(e.subnets), nil })
}

// Subnet implements server.Engine.
func (e *Engine) Subnet(_ context.Context, ref string) (api.Subnet, error) {
	return within(e, func() (api.Subnet, error) { return get(e.subnets, "subnet", ref) })
}

// CreateSubnet implements server.Engine.
func (e *Engine) CreateSubnet(_ context.Context, s api.Subnet) (api.Subnet, error) {
	s.ID, s.Available = "subnet-"+s.Name, 253
	return within(e, func() (api.Subnet, error) { return add(e.subnets, "subnet", s.Name, s) })
}

// RemoveSubnet implements server.Engine.
func (e *Engine) RemoveSubnet(_ context.Context, ref string) error {
	return remove(e, e.subnets, "subnet", ref)
}

// SecurityGroups implements server.Engine.
func (e *Engine) SecurityGroups(context.Context) ([]api.SecurityGroup, error) {
	return within(e, func() ([]api.SecurityGroup, error) { return byName(e.groups), nil })
}

// SecurityGroup implements server.Engine.
func (e *Engine) SecurityGroup(_ context.Context, ref string) (api.SecurityGroup, error) {
	return within(e, func() (api.SecurityGroup, error) { return get(e.groups, "security group", ref) })
}

// CreateSecurityGroup implements server.Engine.
func (e *Engine) CreateSecurityGroup(_ context.Context, g api.SecurityGroup) (api.SecurityGroup, error) {
	g.ID, g.Revision = "sg-"+g.Name, 1
	return within(e, func() (api.SecurityGroup, error) { return add(e.groups, "security group", g.Name, g) })
}

// UpdateSecurityGroup implements server.Engine.
func (e *Engine) UpdateSecurityGroup(_ context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error) {
	return within(e, func() (api.SecurityGroup, error) {
		g, err := get(e.groups, "security group", ref)
		if err == nil && u.Revision != 0 && u.Revision != g.Revision {
			err = api.Errorf(api.Conflict, "security group %s was changed meanwhile", ref)
		}
		if err != nil {
			return g, err
		}
		if u.Ingress != nil {
			g.Ingress = u.Ingress
		}
		if u.Egress != nil {
			g.Egress = u.Egress
		}
		g.Revision++
		e.groups[ref] = g
		return g, nil
	})
}

// RemoveSecurityGroup implements server.Engine.
func (e *Engine) RemoveSecurityGroup(_ context.Context, ref string) error {
	return remove(e, e.groups, "security group", ref)
}

// Addresses implements server.Engine.
func (e *Engine) Addresses(context.Context) ([]api.Address, error) {
	return within(e, func() ([]api.Address, error) { return byName(e.addresses), nil })
}

// Address implements server.Engine.
func (e *Engine) Address(_ context.Context, ref string) (api.Address, error) {
	return within(e, func() (api.Address, error) { return get(e.addresses, "public address", ref) })
}

// CreateAddress implements server.Engine.
func (e *Engine) CreateAddress(_ context.Context, a api.Address) (api.Address, error) {
	return within(e, func() (api.Address, error) {
		n := len(e.addresses) + 1
		a.ID = fmt.Sprintf("eip-%08d", n)
		if a.Name == "" {
			a.Name = a.ID
		}
		if a.Address == "" {
			a.Address = fmt.Sprintf("203.0.113.%d", n)
		}
		return add(e.addresses, "public address", a.Name, a)
	})
}

// BindAddress implements server.Engine.
func (e *Engine) BindAddress(_ context.Context, ref, name string) (api.Address, error) {
	return within(e, func() (api.Address, error) {
		a, err := get(e.addresses, "public address", ref)
		if err != nil || name == "" {
			a.Instance, a.InstanceID, a.VPC, a.VPCID = "", "", "", ""
		} else {
			var in *instance
			if in, err = e.find(name); err == nil {
				a.Instance, a.InstanceID, a.VPC, a.VPCID = in.Spec.Name, in.ID, "", ""
			}
		}
		if err == nil {
			e.addresses[ref] = a
		}
		return a, err
	})
}

// RouteAddress implements server.Engine.
func (e *Engine) RouteAddress(_ context.Context, ref, vpc string) (api.Address, error) {
	return within(e, func() (api.Address, error) {
		a, err := get(e.addresses, "public address", ref)
		if err != nil {
			return a, err
		}
		v, err := get(e.vpcs, "VPC", vpc)
		if err == nil {
			a.Instance, a.InstanceID, a.VPC, a.VPCID = "", "", v.Name, v.ID
			e.addresses[ref] = a
		}
		return a, err
	})
}

// UnbindAddress implements server.Engine.
func (e *Engine) UnbindAddress(ctx context.Context, ref string) (api.Address, error) {
	return e.BindAddress(ctx, ref, "")
}

// RemoveAddress implements server.Engine.
func (e *Engine) RemoveAddress(_ context.Context, ref string) error {
	return remove(e, e.addresses, "public address", ref)
}

// CheckNetwork lets everything pass but to what is called closed.
func (e *Engine) CheckNetwork(_ context.Context, c api.NetworkCheck) (api.NetworkVerdict, error) {
	return within(e, func() (api.NetworkVerdict, error) {
		e.Checks = append(e.Checks, c)
		if _, err := e.find(c.From); err != nil {
			return api.NetworkVerdict{}, err
		}
		v := api.NetworkVerdict{From: c.From, To: c.To, Address: "10.64.0.3", Port: c.Port, Protocol: c.Protocol, Allowed: true, Tried: api.TryConnected,
			Steps: []api.NetworkStep{{Allowed: true, By: "egress rule 1 of default"}, {Allowed: true, By: "ingress rule 1 of default"}}}
		if strings.HasPrefix(c.To, "closed") {
			v.Allowed, v.Tried = false, api.TryNoAnswer
			v.Steps[1] = api.NetworkStep{By: "ingress: no rule of default matches"}
		}
		return v, nil
	})
}

// Traffic implements server.Engine.
func (e *Engine) Traffic(context.Context) ([]api.Traffic, error) {
	return within(e, func() (all []api.Traffic, _ error) {
		for _, in := range e.instances {
			all = append(all, api.Traffic{ID: in.ID, Name: in.Spec.Name, VPC: "default", RxBytes: 1, TxBytes: 2})
		}
		return all, nil
	})
}
