package policy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"cis/api"
)

// rules of a group.
type rules struct{ ingress, egress []api.Rule }

func (r rules) equals(o rules) bool {
	return slices.Equal(r.ingress, o.ingress) && slices.Equal(r.egress, o.egress)
}

// problem is what a group cannot have of a policy, which stays closed then.
type problem struct {
	policy *networkingv1.NetworkPolicy
	what   string
}

// maxRules of one direction of a group is cis's.
const maxRules = 1000

// rulesOf are what the group of a class is to have.
func (s *state) rulesOf(c class) (rules, []problem) {
	in, out := translation{state: s, passes: passes{}}, translation{state: s, passes: passes{}}
	for _, p := range c.ingress {
		for i, r := range p.Spec.Ingress {
			in.policy, in.field = p, fmt.Sprintf("spec.ingress[%d]", i)
			in.admit("from", r.From, r.Ports, func(name string, protocol corev1.Protocol, _ *peer) int32 { return numberOf(c.ports, name, protocol) })
		}
	}
	for _, p := range c.egress {
		for i, r := range p.Spec.Egress {
			out.policy, out.field = p, fmt.Sprintf("spec.egress[%d]", i)
			out.admit("to", r.To, r.Ports, portOfPeer)
		}
	}
	r := rules{in.rules(c.ingress), out.rules(c.egress)}
	return r, append(in.problems, out.problems...)
}

// portNumber is the port that a named one is with a peer, or 0. The peer is nil where it is
// not known whether there is a pod.
type portNumber func(name string, protocol corev1.Protocol, with *peer) int32

func portOfPeer(name string, protocol corev1.Protocol, with *peer) int32 {
	if with == nil {
		return 0
	}
	return numberOf(with.ports, name, protocol)
}

// translation is that of one direction of a class.
type translation struct {
	*state
	passes   passes
	problems []problem
	// policy and field are where it is.
	policy *networkingv1.NetworkPolicy
	field  string
}

func (t *translation) lacks(format string, args ...any) {
	t.problems = append(t.problems, problem{t.policy, fmt.Sprintf("%s."+format, append([]any{t.field}, args...)...)})
}

// admit adds what one rule of a policy lets pass.
func (t *translation) admit(side string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, number portNumber) {
	prefixes, pods := t.others(side, peers)
	if len(peers) == 0 && slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool { return nameOf(p) != "" }) {
		pods = t.peers // everyone is, but only pods have ports with names
	}
	for _, prefix := range prefixes {
		for _, s := range t.services(ports, number, nil) {
			t.passes.add(s, prefix)
		}
	}
	for _, one := range pods {
		for _, s := range t.services(ports, number, one) {
			t.passes.addPeer(s, one)
		}
	}
	for i, p := range ports {
		if protocolOf(p) == corev1.ProtocolSCTP {
			t.lacks("ports[%d].protocol: SCTP stays closed: security groups know TCP and UDP", i)
		}
	}
}

// others are the networks and pods that a rule is about.
func (t *translation) others(side string, peers []networkingv1.NetworkPolicyPeer) (prefixes []netip.Prefix, pods []*peer) {
	if len(peers) == 0 {
		return []netip.Prefix{everyone}, nil
	}
	for i, p := range peers {
		if p.IPBlock == nil {
			pods = append(pods, t.selected(t.policy.Namespace, p)...)
			continue
		}
		some, err := block(p.IPBlock)
		if err != nil {
			t.lacks("%s[%d].ipBlock stays closed: %v", side, i, err)
		}
		prefixes = append(prefixes, some...)
	}
	return prefixes, pods
}

// services that a rule's ports stand for with a peer.
func (t *translation) services(ports []networkingv1.NetworkPolicyPort, number portNumber, with *peer) (all []service) {
	if len(ports) == 0 {
		return []service{{protocol: api.ProtocolAny}}
	}
	for _, p := range ports {
		if s, ok := serviceOf(p, number, with); ok {
			all = append(all, s)
		}
	}
	return all
}

// serviceOf reads a port of a policy; not ok: nobody has it.
func serviceOf(p networkingv1.NetworkPolicyPort, number portNumber, with *peer) (s service, ok bool) {
	switch protocolOf(p) {
	case corev1.ProtocolTCP:
		s.protocol = api.ProtocolTCP
	case corev1.ProtocolUDP:
		s.protocol = api.ProtocolUDP
	default:
		return s, false
	}
	switch name := nameOf(p); {
	case p.Port == nil:
		return s, true
	case name != "":
		s.first = number(name, protocolOf(p), with)
	default:
		s.first = p.Port.IntVal
	}
	s.last = s.first
	if p.EndPort != nil {
		s.last = *p.EndPort
	}
	return s, 0 < s.first && s.first <= s.last
}

// nameOf is the name of a port, or "".
func nameOf(p networkingv1.NetworkPolicyPort) string {
	if p.Port == nil || p.Port.Type != intstr.String {
		return ""
	}
	return p.Port.StrVal
}

func protocolOf(p networkingv1.NetworkPolicyPort) corev1.Protocol {
	if p.Protocol == nil {
		return corev1.ProtocolTCP
	}
	return *p.Protocol
}

// rules are all that passes, or as much of it as a group takes. Without policies that is
// everything.
func (t *translation) rules(policies []*networkingv1.NetworkPolicy) []api.Rule {
	if len(policies) == 0 {
		return []api.Rule{{Protocol: api.ProtocolAny}}
	}
	all := t.passes.rules()
	if len(all) <= maxRules {
		return all
	}
	for _, p := range policies {
		t.problems = append(t.problems, problem{p, fmt.Sprintf(
			"some of what it allows stays closed: with the other policies of the same pods it takes %d rules of a security group, which has %d; name fewer pods, ports and networks",
			len(all), maxRules)})
	}
	return all[:maxRules]
}

// service is what a rule lets pass: ports of a protocol, 0 to 0 for all.
type service struct {
	protocol    api.Protocol
	first, last int32
}

func (s service) compare(o service) int {
	return cmp.Or(cmp.Compare(s.protocol, o.protocol), cmp.Compare(s.first, o.first), cmp.Compare(s.last, o.last))
}

// ports as a rule writes them.
func (s service) ports() string {
	switch {
	case s.last == 0:
		return ""
	case s.first == s.last:
		return strconv.Itoa(int(s.first))
	}
	return fmt.Sprintf("%d-%d", s.first, s.last)
}

// narrowed is what of the service a single port of TCP and UDP has.
func (s service) narrowed(port int32) (services []service) {
	for _, protocol := range []api.Protocol{api.ProtocolTCP, api.ProtocolUDP} {
		if (s.protocol == api.ProtocolAny || s.protocol == protocol) && (s.last == 0 || s.first <= port && port <= s.last) {
			services = append(services, service{protocol, port, port})
		}
	}
	return services
}

// everyone is the peer of rules without peers; it is no address's prefix.
var everyone = netip.Prefix{}

// passes collects who may use which service.
type passes map[service]map[netip.Prefix]bool

func (p passes) add(s service, with netip.Prefix) {
	if p[s] == nil {
		p[s] = map[netip.Prefix]bool{}
	}
	p[s][with] = true
}

// addPeer lets a pod pass, as far as it can.
func (p passes) addPeer(s service, one *peer) {
	services := []service{s}
	if one.only != 0 {
		services = s.narrowed(one.only)
	}
	for _, s := range services {
		for _, a := range one.addresses {
			p.add(s, netip.PrefixFrom(a, a.BitLen()))
		}
	}
}

// rules are in order, and name no more networks than it takes.
func (p passes) rules() []api.Rule {
	all := []api.Rule{}
	for _, s := range slices.SortedFunc(maps.Keys(p), service.compare) {
		if p[s][everyone] {
			all = append(all, api.Rule{Protocol: s.protocol, Ports: s.ports()})
			continue
		}
		for _, prefix := range merged(slices.Collect(maps.Keys(p[s]))) {
			all = append(all, api.Rule{Protocol: s.protocol, Ports: s.ports(), CIDR: prefix.String()})
		}
	}
	return all
}
