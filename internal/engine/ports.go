package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"cis/api"
)

// The host's ports that are chosen for instances: below those that the host's own
// connections come from (net.ipv4.ip_local_port_range).
const (
	firstPort = 20000
	lastPort  = 32767
)

// claimPorts chooses the ports that are left open, those of before where they are still
// free, and refuses ones that other instances have. n.mu is held; nothing is taken yet.
func (n *networks) claimPorts(id string, want, before []api.PublishedPort) ([]api.PublishedPort, error) {
	taken := n.portsOfOthers(id)
	ports := slices.Clone(want)
	for i := range ports {
		if ports[i].HostPort == 0 {
			continue
		}
		if owner := userOf(&ports[i], taken); owner != "" {
			field := fmt.Sprintf("network.ports[%d].hostPort", i)
			err := api.Errorf(api.Conflict, "port %d/%s of the host is used by instance %s", ports[i].HostPort, ports[i].Protocol, owner)
			err.Field = field
			return nil, err.WithNext("choose another, or leave it out for a free one")
		}
		taken = append(taken, ownedPort{ports[i], id})
	}
	for i := range ports {
		if ports[i].HostPort != 0 {
			continue
		}
		if len(before) == len(want) {
			ports[i].HostPort = before[i].HostPort
		}
		if ports[i].HostPort == 0 || userOf(&ports[i], taken) != "" {
			if ports[i].HostPort = freePort(ports[i], taken); ports[i].HostPort == 0 {
				return nil, api.Errorf(api.Exhausted, "all ports of the host from %d to %d are used by instances", firstPort, lastPort)
			}
		}
		taken = append(taken, ownedPort{ports[i], id})
	}
	return ports, nil
}

// ownedPort is a port of the host and the name of the instance that has it.
type ownedPort struct {
	api.PublishedPort
	owner string
}

func (n *networks) portsOfOthers(id string) (taken []ownedPort) {
	for other, m := range n.members {
		if other != id {
			for _, p := range m.ports {
				taken = append(taken, ownedPort{p, m.name})
			}
		}
	}
	return taken
}

// userOf is the owner of a port that clashes, or "".
func userOf(p *api.PublishedPort, taken []ownedPort) string {
	for i := range taken {
		if p.Clashes(&taken[i].PublishedPort) {
			return taken[i].owner
		}
	}
	return ""
}

// freePort is a port that nobody has, or 0.
func freePort(p api.PublishedPort, taken []ownedPort) int {
	const count = lastPort - firstPort + 1
	begin := rand.IntN(count)
	for i := range count {
		p.HostPort = firstPort + (begin+i)%count
		if userOf(&p, taken) == "" {
			return p.HostPort
		}
	}
	return 0
}

// reclaimPorts takes the ports for another run of an instance.
func (n *networks) reclaimPorts(id string, want, before []api.PublishedPort) ([]api.PublishedPort, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ports, err := n.claimPorts(id, want, before)
	if m := n.members[id]; m != nil && err == nil {
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
