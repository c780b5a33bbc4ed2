package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"cis/api"
	"cis/internal/network"
)

// claimPorts chooses the ports that are left open, those of before where they are still
// free, and refuses ones that other instances or programs of the host have. n.mu is held;
// nothing is taken yet.
func (n *networks) claimPorts(account, id string, want, before []api.PublishedPort) ([]api.PublishedPort, error) {
	taken := n.portsOfOthers(id)
	ports := slices.Clone(want)
	for i := range ports {
		if ports[i].HostPort == 0 {
			continue
		}
		if owner := userOf(&ports[i], taken); owner != nil {
			field := fmt.Sprintf("network.ports[%d].hostPort", i)
			err := api.Errorf(api.Conflict, "port %d/%s of the host is used by %s", ports[i].HostPort, ports[i].Protocol, owner.to(account))
			err.Field = field
			return nil, err.WithNext("choose another, or leave it out for a free one")
		}
		if err := n.checkPort(fmt.Sprintf("network.ports[%d]", i), ports[i]); err != nil {
			return nil, err
		}
		taken = append(taken, ownedPort{PublishedPort: ports[i], account: account, owner: "instance " + id})
	}
	for i := range ports {
		if ports[i].HostPort != 0 {
			continue
		}
		if len(before) == len(want) {
			ports[i].HostPort = before[i].HostPort
		}
		if ports[i].HostPort == 0 || userOf(&ports[i], taken) != nil || n.checkPort("", ports[i]) != nil {
			var err error
			if ports[i].HostPort, err = n.freePort(ports[i], taken); err != nil {
				return nil, err
			}
		}
		taken = append(taken, ownedPort{PublishedPort: ports[i], account: account, owner: "instance " + id})
	}
	return ports, nil
}

// checkPort refuses a port, of a field, that the host has not, or a program of the host has.
func (n *networks) checkPort(field string, p api.PublishedPort) error {
	err := n.host.CheckPort(portsOf([]api.PublishedPort{p})[0])
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		return err
	}
	refused := *e
	refused.Field = field + ".hostPort"
	if e.Code == api.Invalid {
		refused.Field = field + ".hostAddress"
	}
	return &refused
}

// ownedPort is a port of the host and who has it.
type ownedPort struct {
	api.PublishedPort
	account, owner string
}

// to names the owner to an account.
func (o *ownedPort) to(account string) string {
	if o.account == account {
		return o.owner
	}
	return "another account"
}

func (n *networks) portsOfOthers(id string) (taken []ownedPort) {
	for other, m := range n.members {
		if other != id {
			for _, p := range m.ports {
				taken = append(taken, ownedPort{p, m.account, "instance " + m.name})
			}
		}
	}
	for _, v := range n.vpcs {
		if v.ID != id {
			for _, p := range v.Ports {
				taken = append(taken, ownedPort{p, v.Account, "VPC " + v.Name})
			}
		}
	}
	return taken
}

// checkRouterPorts refuses ports for a VPC's router, beside those it had before, that somebody else has.
func (n *networks) checkRouterPorts(v api.VPC, before []api.PublishedPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.portsOfOthers(v.ID)
	for i, p := range v.Ports {
		if slices.Contains(before, p) {
			continue
		}
		field := fmt.Sprintf("ports[%d]", i)
		if owner := userOf(&p, taken); owner != nil {
			err := api.Errorf(api.Conflict, "port %d/%s of the host is used by %s", p.HostPort, p.Protocol, owner.to(v.Account))
			err.Field = field + ".hostPort"
			return err.WithNext("choose another")
		}
		if err := n.checkPort(field, p); err != nil {
			return err
		}
	}
	return nil
}

// ways are what leads to a VPC's router; n.mu is held.
func (n *networks) ways(v api.VPC) network.Ways {
	w := network.Ways{Ports: portsOf(v.Ports)}
	for _, r := range v.Routes {
		if p, err := netip.ParsePrefix(r); err == nil {
			w.Routes = append(w.Routes, p)
		}
	}
	for _, a := range n.public {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.VPCID == v.ID {
			w.Public = append(w.Public, ip)
		}
	}
	return w
}

// userOf is what clashes with a port, or nil.
func userOf(p *api.PublishedPort, taken []ownedPort) *ownedPort {
	for i := range taken {
		if p.Clashes(&taken[i].PublishedPort) {
			return &taken[i]
		}
	}
	return nil
}

// freePort finds a port of the host that no program and no instance has.
func (n *networks) freePort(p api.PublishedPort, taken []ownedPort) (int, error) {
	for range 100 {
		port, err := n.host.FreePort(protocolOf(p.Protocol))
		if err != nil {
			return 0, err
		}
		p.HostPort = int(port)
		if userOf(&p, taken) == nil {
			return p.HostPort, nil
		}
	}
	return 0, api.Errorf(api.Exhausted, "the host has no free port left")
}

// reclaimPorts takes the ports for another run of an instance.
func (n *networks) reclaimPorts(id string, want, before []api.PublishedPort) ([]api.PublishedPort, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[id]
	if m == nil {
		return nil, noInstance(id)
	}
	ports, err := n.claimPorts(m.account, id, want, before)
	if err == nil {
		m.ports = ports
	}
	return ports, err
}

// freePorts gives the ports back at the end of a run.
func (n *networks) freePorts(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[id]; m != nil {
		m.ports = nil
	}
}
