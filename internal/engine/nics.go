package engine

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"cis/api"
	"cis/internal/network"
	"cis/internal/store"
)

// attach makes the sandbox's NIC, or finds it as it should be.
func (e *Engine) attach(ctx context.Context, sb *sandbox) error {
	unlock, err := e.lockWire(ctx, sb.wire())
	if err != nil {
		return err
	}
	defer unlock()
	n := e.networks.nic(sb.Sandbox)
	if err = e.provide(ctx, n); err == nil {
		sb.link, err = e.cfg.Network.Attach(ctx, n)
	}
	if err != nil {
		return fmt.Errorf("make the network interface: %w", err)
	}
	e.networks.plug(sb.Sandbox)
	return nil
}

// lockWire lets one change of a NIC at a time go on.
func (e *Engine) lockWire(ctx context.Context, wire string) (unlock func(), err error) {
	done, err := e.wiring.Lock(ctx, wire)
	if err != nil {
		return nil, err
	}
	e.wires.RLock()
	return func() { e.wires.RUnlock(); done() }, nil
}

// wire is what is held while a sandbox's NIC is changed: one of an instance goes by the
// instance's name, so that what is bound to that finds the NIC, or the NIC finds it.
func (sb *sandbox) wire() string {
	if sb.Instance != "" {
		return sb.Instance
	}
	return sb.ID
}

// rewire gives a NIC that was made for nobody in particular what its instance asks for.
func (e *Engine) rewire(ctx context.Context, sb *sandbox) error {
	unlock, err := e.lockWire(ctx, sb.wire())
	if err != nil {
		return err
	}
	defer unlock()
	n, nobody := e.networks.nic(sb.Sandbox), sb.Sandbox
	nobody.Instance = ""
	if !sameNIC(n, e.networks.nic(nobody)) {
		if err := e.updateNIC(ctx, n); err != nil {
			return err
		}
	}
	e.networks.plug(sb.Sandbox)
	return nil
}

// refresh brings the NIC of an instance, if it is attached, to what is on record.
func (e *Engine) refresh(ctx context.Context, instance string) error {
	if instance == "" {
		return nil
	}
	unlock, err := e.lockWire(ctx, instance)
	if err != nil {
		return err
	}
	defer unlock()
	b, attached := e.networks.attached(instance)
	if !attached {
		return nil // it will be as on record when it is
	}
	return e.updateNIC(ctx, e.networks.nic(b))
}

func (e *Engine) updateNIC(ctx context.Context, n network.NIC) error {
	if err := e.provide(ctx, n); err != nil {
		return err
	}
	if err := e.cfg.Network.UpdateNIC(ctx, n); err != nil {
		return fmt.Errorf("change the network interface: %w", err)
	}
	return nil
}

// detach removes a sandbox's NIC, and the sandbox from the record: in one step, or the
// NIC would be found missing and made again.
func (e *Engine) detach(ctx context.Context, sb *sandbox) error {
	unlock, err := e.lockWire(ctx, sb.wire())
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.cfg.Network.Detach(ctx, sb.ID); err != nil {
		return err
	}
	e.networks.unplug(sb.Sandbox)
	return e.cfg.Store.DeleteSandbox(ctx, sb.ID)
}

// attached is the sandbox whose NIC an instance has now.
func (n *networks) attached(instance string) (store.Sandbox, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[instance]; m != nil && m.nic.ID != "" {
		return m.nic, true
	}
	return store.Sandbox{}, false
}

// wired lists the members that have a NIC.
func (n *networks) wired() (all []member) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.members {
		if m.nic.ID != "" {
			all = append(all, *m)
		}
	}
	return all
}

// plug remembers that an instance's NIC is attached.
func (n *networks) plug(b store.Sandbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[b.Instance]; m != nil {
		m.nic = b
	}
}

// unplug forgets it.
func (n *networks) unplug(b store.Sandbox) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[b.Instance]; m != nil && m.nic.ID == b.ID {
		m.nic = store.Sandbox{}
	}
}

// nic says how a sandbox's NIC shall be.
func (n *networks) nic(b store.Sandbox) network.NIC {
	n.mu.Lock()
	defer n.mu.Unlock()
	ip, _ := netip.ParseAddr(b.Address)
	ip6, _ := netip.ParseAddr(b.Address6)
	nic := network.NIC{ID: b.ID, VPC: api.DefaultName, Address: ip, Address6: ip6, Groups: []string{defaultGroup}}
	if s := n.subnets[b.Subnet]; s != nil {
		if v, err := n.vpc(s.Account, s.VPC); err == nil {
			nic.VPC = networkID(v)
		}
	}
	if b.Isolation == api.IsolationVM {
		nic.Kind = network.Tap
	}
	if m := n.members[b.Instance]; m != nil {
		nic.Groups = slices.Clone(m.groups)
		nic.Bandwidth = network.Bandwidth{In: uint64(m.bandwidth.In), Out: uint64(m.bandwidth.Out)}
		nic.Ports = portsOf(m.ports)
	}
	if a, bound := n.bound(b.Instance); bound {
		ip, _ := netip.ParseAddr(a.Address)
		nic.Public = []netip.Addr{ip}
	}
	return nic
}

// portsOf turns published ports into the network's.
func portsOf(ports []api.PublishedPort) (out []network.Port) {
	for _, p := range ports {
		to := network.Port{Protocol: protocolOf(p.Protocol), HostPort: uint16(p.HostPort), Target: uint16(p.Port), Guarded: p.Guarded}
		if ip, err := netip.ParseAddr(p.HostAddress); err == nil && !ip.IsUnspecified() {
			to.Host = ip.Unmap()
		}
		out = append(out, to)
	}
	return out
}

func protocolOf(word string) network.Protocol {
	if word == "UDP" {
		return network.UDP
	}
	return network.TCP
}

// sameNIC tells whether two NICs need no UpdateNIC to become alike.
func sameNIC(a, b network.NIC) bool {
	return slices.Equal(a.Groups, b.Groups) && slices.Equal(a.Ports, b.Ports) && slices.Equal(a.Public, b.Public) && a.Bandwidth == b.Bandwidth
}
