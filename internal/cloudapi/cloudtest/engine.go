// Package cloudtest has what tests of the cloud API need: an engine without containers,
// keys in memory, and clients that sign. It is meant for tests alone.
package cloudtest

import (
	"context"
	"errors"
	"strings"
	"time"

	"cis/api"
	"cis/internal/server/servertest"
)

// Engine is the server's fake, with what the cloud API shows beside: things by ID, places
// on the network by name, and containers that run.
type Engine struct{ *servertest.Engine }

// NewEngine makes an engine with the default VPC, subnet and security group.
func NewEngine() Engine {
	e := Engine{servertest.New()}
	if _, err := e.CreateSecurityGroup(context.Background(), api.SecurityGroup{Name: api.DefaultName}); err != nil {
		panic(err)
	}
	return e
}

// named is the name of a thing whose ID is its kind and its name.
func named(kind, ref string) string { return strings.TrimPrefix(ref, kind+"-") }

// VPC finds by ID, too.
func (e Engine) VPC(ctx context.Context, ref string) (api.VPC, error) {
	return e.Engine.VPC(ctx, named("vpc", ref))
}

// RemoveVPC finds by ID, too.
func (e Engine) RemoveVPC(ctx context.Context, ref string) error {
	return e.Engine.RemoveVPC(ctx, named("vpc", ref))
}

// CreateSubnet shows the VPC by its name.
func (e Engine) CreateSubnet(ctx context.Context, s api.Subnet) (api.Subnet, error) {
	s.VPC = named("vpc", s.VPC)
	return e.Engine.CreateSubnet(ctx, s)
}

// Subnet finds by ID, too.
func (e Engine) Subnet(ctx context.Context, ref string) (api.Subnet, error) {
	return e.Engine.Subnet(ctx, named("subnet", ref))
}

// RemoveSubnet finds by ID, too.
func (e Engine) RemoveSubnet(ctx context.Context, ref string) error {
	return e.Engine.RemoveSubnet(ctx, named("subnet", ref))
}

// SecurityGroup finds by ID, too.
func (e Engine) SecurityGroup(ctx context.Context, ref string) (api.SecurityGroup, error) {
	return e.Engine.SecurityGroup(ctx, named("sg", ref))
}

// UpdateSecurityGroup finds by ID, too.
func (e Engine) UpdateSecurityGroup(ctx context.Context, ref string, u api.SecurityGroupUpdate) (api.SecurityGroup, error) {
	return e.Engine.UpdateSecurityGroup(ctx, named("sg", ref), u)
}

// RemoveSecurityGroup finds by ID, too.
func (e Engine) RemoveSecurityGroup(ctx context.Context, ref string) error {
	return e.Engine.RemoveSecurityGroup(ctx, named("sg", ref))
}

// Address finds by ID, too.
func (e Engine) Address(ctx context.Context, ref string) (api.Address, error) {
	all, err := e.Addresses(ctx)
	for _, a := range all {
		if a.ID == ref || a.Name == ref {
			return a, nil
		}
	}
	return api.Address{}, errors.Join(err, api.Errorf(api.NotFound, "there is no public address %q", ref))
}

// BindAddress finds by ID, too.
func (e Engine) BindAddress(ctx context.Context, ref, instance string) (api.Address, error) {
	a, err := e.Address(ctx, ref)
	if err != nil {
		return a, err
	}
	return e.Engine.BindAddress(ctx, a.Name, instance)
}

// UnbindAddress finds by ID, too.
func (e Engine) UnbindAddress(ctx context.Context, ref string) (api.Address, error) {
	return e.BindAddress(ctx, ref, "")
}

// RemoveAddress finds by ID, too.
func (e Engine) RemoveAddress(ctx context.Context, ref string) error {
	a, err := e.Address(ctx, ref)
	if err != nil {
		return err
	}
	return e.Engine.RemoveAddress(ctx, a.Name)
}

// Create resolves the place on the network, and binds a public address.
func (e Engine) Create(ctx context.Context, req api.CreateInstance) (api.Instance, bool, error) {
	n := &req.Network
	v, err := e.VPC(ctx, n.VPC)
	if err != nil {
		return api.Instance{}, false, inField(err, "network.vpc")
	}
	s, err := e.Subnet(ctx, n.Subnet)
	if err != nil {
		return api.Instance{}, false, inField(err, "network.subnet")
	}
	n.VPC, n.Subnet = v.Name, s.Name
	groups := n.SecurityGroups
	n.SecurityGroups = nil
	for _, ref := range groups {
		g, err := e.SecurityGroup(ctx, ref)
		if err != nil {
			return api.Instance{}, false, inField(err, "network.securityGroups")
		}
		n.SecurityGroups = append(n.SecurityGroups, g.Name)
	}
	address := n.PublicAddress
	if address == api.AutoAddress {
		a, err := e.CreateAddress(ctx, api.Address{Auto: true})
		if err != nil {
			return api.Instance{}, false, err
		}
		address = a.ID
	}
	if address != "" {
		if _, err := e.Address(ctx, address); err != nil {
			return api.Instance{}, false, inField(err, "network.publicAddress")
		}
	}
	in, made, err := e.Engine.Create(ctx, req)
	if err == nil && address != "" {
		_, err = e.BindAddress(ctx, address, in.ID)
	}
	return e.shown(in), made, err
}

func inField(err error, field string) error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		e.Field = field
	}
	return err
}

// Get shows containers.
func (e Engine) Get(ctx context.Context, ref string) (api.Instance, error) {
	in, err := e.Engine.Get(ctx, ref)
	return e.shown(in), err
}

// Search finds among all there are.
func (e Engine) Search(ctx context.Context, match func(api.InstanceKeys) bool, offset, limit int) (page []api.Instance, total int, err error) {
	list, err := e.List(ctx, api.ListOptions{})
	for _, in := range list.Items {
		in = e.shown(in)
		if match != nil && !match(api.InstanceKeys{ID: in.ID, Name: in.Spec.Name, VPC: in.Spec.Network.VPC, Address: in.Status.Address,
			PublicAddress: in.Status.PublicAddress, Phase: in.Status.Phase, Labels: in.Spec.Labels}) {
			continue
		}
		if total++; total > offset && len(page) < limit {
			page = append(page, in)
		}
	}
	return page, total, err
}

// Events finds by ID, too.
func (e Engine) Events(ctx context.Context, opts api.EventOptions) (api.List[api.Event], error) {
	if in, err := e.Engine.Get(ctx, opts.Instance); err == nil {
		opts.Instance = in.Spec.Name
	}
	return e.Engine.Events(ctx, opts)
}

// Remove unbinds or removes the public address.
func (e Engine) Remove(ctx context.Context, ref string, force bool, grace *time.Duration) error {
	in, err := e.Engine.Get(ctx, ref)
	if err != nil {
		return err
	}
	all, err := e.Addresses(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		switch {
		case a.InstanceID != in.ID:
		case a.Auto:
			err = errors.Join(err, e.RemoveAddress(ctx, a.ID))
		default:
			_, unbound := e.UnbindAddress(ctx, a.ID)
			err = errors.Join(err, unbound)
		}
	}
	return errors.Join(err, e.Engine.Remove(ctx, ref, force, grace))
}

// Update makes an instance anew, as far as this fake goes: it restarts.
func (e Engine) Update(ctx context.Context, ref string, u api.InstanceUpdate) (api.Instance, error) {
	in, err := e.Engine.Change(ref, u.Apply)
	return e.shown(in), err
}

// shown adds what the fake below has not: an address, and containers that do what the
// instance does.
func (e Engine) shown(in api.Instance) api.Instance {
	in.Status.Address = "10.64.0.2"
	in.Status.StartedAt = &in.CreatedAt
	all, _ := e.Addresses(context.Background())
	for _, a := range all {
		if a.InstanceID == in.ID && in.ID != "" {
			in.Status.PublicAddress = a.Address
		}
	}
	state := api.ContainerState{Running: &api.StateRunning{StartedAt: in.CreatedAt}}
	if in.Status.ExitCode != nil {
		in.Status.FinishedAt = &in.CreatedAt
		state = api.ContainerState{Terminated: &api.StateTerminated{ExitCode: *in.Status.ExitCode, Reason: api.ReasonCompleted, StartedAt: in.CreatedAt, FinishedAt: in.CreatedAt}}
	}
	in.Status.ContainerStatuses = nil
	for _, c := range in.Spec.Containers {
		in.Status.ContainerStatuses = append(in.Status.ContainerStatuses, api.ContainerStatus{Name: c.Name, Image: c.Image, State: state})
	}
	return in
}
