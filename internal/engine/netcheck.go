package engine

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/network"
)

// tryWait is how long a try waits for an answer.
const tryWait = 3 * time.Second

// CheckNetwork tells whether an instance may connect to another one, or to an address, by
// which rules, and then tries it from inside.
func (e *Engine) CheckNetwork(ctx context.Context, c api.NetworkCheck) (api.NetworkVerdict, error) {
	v := api.NetworkVerdict{From: c.From, To: c.To, Port: c.Port, Protocol: c.Protocol, Tried: api.TryNot}
	l, err := e.findLive(ctx, c.From)
	if err != nil {
		return v, inField(err, "from")
	}
	rec, _ := l.snapshot()
	from, attached := e.networks.attached(rec.ID)
	if !attached {
		return v, inField(noNIC(rec.Spec.Name), "from")
	}
	v.From = rec.Spec.Name
	source := network.Endpoint{NIC: from.ID}
	target, err := e.endpoint(ctx, c.To, &v)
	if err != nil {
		return v, inField(err, "to")
	}
	if target.Address.Is6() {
		if source.Address, err = netip.ParseAddr(from.Address6); err != nil {
			return v, api.FieldError("to", "%s is an IPv6 address, and instance %s has none", target.Address, v.From)
		}
	}
	protocol := network.TCP
	if c.Protocol == api.ProtocolUDP {
		protocol = network.UDP
	}
	steps, err := e.cfg.Network.Check(ctx, source, target, protocol, uint16(c.Port))
	if err != nil {
		return v, fmt.Errorf("check the network: %w", err)
	}
	v.Allowed = true
	for _, s := range steps {
		v.Allowed = v.Allowed && s.Allowed
		v.Steps = append(v.Steps, api.NetworkStep{Allowed: s.Allowed, By: e.networks.byName(account.Of(ctx), s)})
	}
	v.Tried, v.Detail = l.try(ctx, c.Protocol, netip.AddrPortFrom(target.Address, uint16(c.Port)))
	return v, nil
}

// endpoint is the other end of a check: an instance's NIC, or an address.
func (e *Engine) endpoint(ctx context.Context, to string, v *api.NetworkVerdict) (end network.Endpoint, err error) {
	if end.Address, err = netip.ParseAddr(to); err == nil {
		v.Address = to
		return end, nil
	}
	rec, err := e.find(ctx, to)
	if err != nil {
		return end, err
	}
	b, attached := e.networks.attached(rec.ID)
	if !attached {
		return end, noNIC(rec.Spec.Name)
	}
	v.To, v.Address, end.NIC = rec.Spec.Name, b.Address, b.ID
	end.Address, err = netip.ParseAddr(b.Address)
	return end, err
}

func noNIC(name string) error {
	return api.Errorf(api.Conflict, "instance %s is not on the network now", name).WithNext("start it: `cis start %s`", name)
}

// byName says by what a verdict came, with the names of the caller's VPCs and security groups
// in place of IDs. Of the rules of others it tells nothing.
func (n *networks) byName(c account.Caller, s network.Verdict) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := s.By
	for _, v := range n.vpcs {
		switch {
		case c.Owns(v.Account):
			text = strings.ReplaceAll(text, v.ID, v.Name)
		case networkID(v) == s.VPC:
			return "the rules of another account"
		}
	}
	for id, g := range n.groups {
		if c.Owns(g.Account) {
			text = strings.ReplaceAll(text, id, g.Name)
		}
	}
	return text
}

// try proves a verdict from inside the instance. That it could not be tried is told, and
// is no failure of the check.
func (l *life) try(ctx context.Context, protocol api.Protocol, to netip.AddrPort) (api.TryResult, string) {
	client, _, err := l.reach(ctx, "")
	if err != nil {
		return api.TryNot, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*tryWait)
	defer cancel()
	result, detail, err := client.Try(ctx, protocol == api.ProtocolUDP, to, tryWait)
	if err != nil {
		return api.TryNot, err.Error()
	}
	if result == api.TryNoAnswer {
		detail = fmt.Sprintf("within %s", tryWait)
	}
	if result == api.TryNoAnswer && protocol == api.ProtocolUDP {
		detail += "; over UDP that proves nothing: what listens there need not answer"
	}
	return result, detail
}

// owners gives the names of the instances of a VPC by their addresses.
func (n *networks) owners(vpc string) map[netip.Addr]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	owners := map[netip.Addr]string{}
	for _, m := range n.members {
		if m.vpc != vpc {
			continue
		}
		for _, s := range []string{m.nic.Address, m.nic.Address6} {
			if ip, err := netip.ParseAddr(s); err == nil {
				owners[ip] = m.name
			}
		}
	}
	return owners
}
