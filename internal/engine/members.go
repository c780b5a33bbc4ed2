package engine

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"cis/api"
	"cis/internal/account"
	"cis/internal/store"
)

// member is what an instance on record uses of the network.
type member struct {
	account     string
	name        string
	vpc, subnet string // IDs
	groups      []string
	// leaving are groups that the NIC may still be in, while it changes to others.
	leaving   []string
	bandwidth api.Bandwidth
	// ports of the host that are its own, from the beginning of a run to its end.
	ports []api.PublishedPort
	// nic is the sandbox whose NIC is attached; the zero one: none.
	nic store.Sandbox
}

// place resolves what a spec of an account says of the network, by what is on record, and
// makes it explicit. n.mu is held.
func (n *networks) place(owner string, s *api.NetworkSpec) (*member, error) {
	sub, err := n.subnetFor(owner, s)
	if err != nil {
		return nil, err
	}
	v, err := n.vpc(owner, sub.VPC)
	if err != nil {
		return nil, err
	}
	m := &member{account: owner, vpc: v.ID, subnet: sub.ID, bandwidth: s.Bandwidth}
	s.VPC, s.Subnet = v.Name, sub.Name
	names := s.SecurityGroups
	if len(names) == 0 {
		names = []string{api.DefaultName}
	}
	m.groups, s.SecurityGroups, err = n.groupsNamed(owner, names)
	return m, inField(err, "network.securityGroups")
}

// groupsNamed finds security groups, each once: their IDs and names. n.mu is held.
func (n *networks) groupsNamed(owner string, refs []string) (ids, names []string, err error) {
	for _, ref := range refs {
		g, err := n.group(owner, ref)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(ids, g.ID) {
			ids, names = append(ids, g.ID), append(names, g.Name)
		}
	}
	return ids, names, nil
}

// subnetFor finds the subnet that a spec names, or the only one of its VPC.
func (n *networks) subnetFor(owner string, s *api.NetworkSpec) (*subnet, error) {
	if s.VPC == "" && s.Subnet == "" {
		return n.subnet(owner, api.DefaultName)
	}
	var v api.VPC
	var err error
	if s.VPC != "" {
		if v, err = n.vpc(owner, s.VPC); err != nil {
			return nil, inField(err, "network.vpc")
		}
	}
	if s.Subnet != "" {
		sub, err := n.subnet(owner, s.Subnet)
		if err != nil {
			return nil, inField(err, "network.subnet")
		}
		if s.VPC != "" && sub.VPC != v.Name {
			return nil, api.FieldError("network.subnet", "subnet %s is in VPC %s, not %s", sub.Name, sub.VPC, v.Name)
		}
		return sub, nil
	}
	in := n.subnetsOf(v)
	switch len(in) {
	case 0:
		return nil, api.FieldError("network.vpc", "VPC %s has no subnet", v.Name).
			WithNext("make one: `cis subnet create NAME --vpc %s --cidr CIDR`", v.Name)
	case 1:
		return in[0], nil
	}
	var names []string
	for _, sub := range in {
		names = append(names, sub.Name)
	}
	return nil, api.FieldError("network.subnet", "must say which subnet of VPC %s: %s", v.Name, strings.Join(names, ", "))
}

// subnetsOf lists the subnets of a VPC, by name; n.mu is held.
func (n *networks) subnetsOf(v api.VPC) (in []*subnet) {
	for _, sub := range sorted(n.subnets, v.Account, subnetTitle) {
		if sub.VPC == v.Name {
			in = append(in, sub)
		}
	}
	return in
}

// join takes what a new instance asks for of the network, and says so in its spec and
// status. part gives it back.
func (e *Engine) join(ctx context.Context, id string, spec *api.NetworkSpec, status *api.InstanceStatus) error {
	err := e.networks.join(account.Of(ctx).Account, id, spec, status)
	if err == nil {
		status.PublicAddress, err = e.claimPublic(ctx, id, spec.PublicAddress)
	}
	if err != nil {
		e.part(ctx, id, status.Address)
	}
	return err
}

func (n *networks) join(owner, id string, spec *api.NetworkSpec, status *api.InstanceStatus) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	m, err := n.place(owner, spec)
	if err != nil {
		return err
	}
	ports, err := n.claimPorts(owner, id, spec.Ports, nil)
	if err != nil {
		return err
	}
	if spec.Address != "" {
		if err := n.subnets[m.subnet].claim(spec.Address, n.holder(m.subnet, spec.Address)); err != nil {
			return err
		}
	}
	m.ports = ports
	m.name = id // until it has one
	n.members[id] = m
	status.Ports, status.Address = ports, spec.Address
	status.Address6 = n.subnets[m.subnet].address6(spec.Address)
	return nil
}

// holder is the name of the instance that has a NIC with an address, or ""; n.mu is held.
func (n *networks) holder(subnet, addr string) string {
	for _, m := range n.members {
		if m.subnet == subnet && m.nic.Address == addr {
			return m.name
		}
	}
	return ""
}

// claim holds a fixed address; holder is who has it, if that is known.
func (s *subnet) claim(addr, holder string) error {
	const field = "network.address"
	if !s.addresses.contains(addr) {
		return api.FieldError(field, "%s is not one of the addresses that subnet %s (%s) gives", addr, s.Name, s.CIDR)
	}
	if !s.addresses.claim(addr) {
		taken := api.Errorf(api.Conflict, "address %s of subnet %s is in use", addr, s.Name)
		if holder != "" {
			taken.Message += " by instance " + holder
		}
		taken.Field = field
		return taken.WithNext("choose another, or leave it out for a free one")
	}
	return nil
}

// address6 is the IPv6 address that goes with an IPv4 address of a subnet: its last 32
// bits are that. Empty where the subnet has none.
func (s *subnet) address6(addr string) string {
	ip, err := netip.ParseAddr(addr)
	p, err6 := netip.ParsePrefix(s.CIDR6)
	if err != nil || err6 != nil {
		return ""
	}
	b, last := p.Addr().As16(), ip.As4()
	copy(b[12:], last[:])
	return netip.AddrFrom16(b).String()
}

// rejoin counts an instance that is on record already, with the ports that it has while
// it lives. Its spec then says where it is.
func (n *networks) rejoin(in *store.Instance) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	spec := in.Spec.Network
	m, err := n.place(in.Account, &spec)
	if err != nil {
		return err
	}
	if !in.Status.Phase.Finished() {
		m.ports = in.Status.Ports
	}
	m.name, in.Spec.Network = in.Spec.Name, spec
	n.members[in.ID] = m
	if in.Status.Address != "" {
		n.subnets[m.subnet].addresses.hold(in.Status.Address)
	}
	return nil
}

// named tells the name that an instance got.
func (n *networks) named(id, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[id]; m != nil {
		m.name = name
	}
}

// part gives back what an instance that is on no record any more used of the network.
func (e *Engine) part(ctx context.Context, id, address string) {
	if err := e.releasePublic(context.WithoutCancel(ctx), id); err != nil {
		// The next start of cisd finds an address that is bound to nobody.
		e.log.Error("a public address cannot be released", "instance", id, "error", err)
	}
	n := e.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[id]; m != nil {
		delete(n.members, id)
		if s := n.subnets[m.subnet]; s != nil && address != "" {
			s.addresses.release(address)
		}
		n.wake()
	}
}

// subnetOf is the subnet of an instance, or the default one for a standby sandbox.
func (n *networks) subnetOf(instance string) *subnet {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[instance]; m != nil {
		return n.subnets[m.subnet]
	}
	return n.subnets[defaultSubnet]
}

// vpcOf is the VPC of an instance, or the default one.
func (n *networks) vpcOf(instance string) api.VPC {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[instance]; m != nil {
		return n.vpcs[m.vpc]
	}
	return n.vpcs[defaultVPC]
}

// release gives a sandbox's hold on its address back.
func (n *networks) release(b store.Sandbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.subnets[b.Subnet]; s != nil {
		s.addresses.release(b.Address)
	}
	n.wake()
}

// swap makes a sandbox's address its instance's, in place of another or none.
func (n *networks) swap(subnet, before, now string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.subnets[subnet]; s != nil {
		s.addresses.release(before)
		s.addresses.hold(now)
	}
}

// hold counts a sandbox that is on record.
func (n *networks) hold(b store.Sandbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.subnets[b.Subnet]; s != nil {
		s.addresses.hold(b.Address)
	}
}
