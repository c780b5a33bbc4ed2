package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// class is a set of pods that the policies treat alike.
type class struct {
	namespace string
	// ingress and egress are the policies that isolate the pods that way, by name; none: they
	// are open.
	ingress, egress []*networkingv1.NetworkPolicy
	// ports of the pods, by the names that ingress speaks of.
	ports []corev1.ContainerPort
}

// classOf finds the class of a pod.
func (s *state) classOf(pod *corev1.Pod) class {
	c := class{namespace: pod.Namespace}
	for _, p := range s.policies {
		if p.Namespace != pod.Namespace || !p.pods.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if isolates(p.NetworkPolicy, networkingv1.PolicyTypeIngress) {
			c.ingress = append(c.ingress, p.NetworkPolicy)
		}
		if isolates(p.NetworkPolicy, networkingv1.PolicyTypeEgress) {
			c.egress = append(c.egress, p.NetworkPolicy)
		}
	}
	byName := func(a, b *networkingv1.NetworkPolicy) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(c.ingress, byName)
	slices.SortFunc(c.egress, byName)
	c.ports = namedPorts(c.ingress, portsOf(pod))
	return c
}

// isolates says whether a policy is about a direction; without types it is about ingress,
// and about egress if it has such rules.
func isolates(p *networkingv1.NetworkPolicy, t networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) == 0 {
		return t == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
	}
	return slices.Contains(p.Spec.PolicyTypes, t)
}

// namedPorts are those of a pod's ports that policies speak of by name.
func namedPorts(policies []*networkingv1.NetworkPolicy, ports []corev1.ContainerPort) (out []corev1.ContainerPort) {
	for _, p := range policies {
		for _, r := range p.Spec.Ingress {
			for _, port := range r.Ports {
				one := corev1.ContainerPort{Name: nameOf(port), Protocol: protocolOf(port)}
				if one.Name == "" {
					continue
				}
				if one.ContainerPort = numberOf(ports, one.Name, one.Protocol); one.ContainerPort != 0 && !slices.Contains(out, one) {
					out = append(out, one)
				}
			}
		}
	}
	return out
}

func (c class) open() bool { return len(c.ingress)+len(c.egress) == 0 }

// group is the name of the class's security group: another for each class and node.
func (c class) group(node string) string {
	if c.open() {
		return openGroup
	}
	h := sha256.New()
	fmt.Fprintln(h, node, c.namespace)
	for _, list := range [][]*networkingv1.NetworkPolicy{c.ingress, c.egress} {
		for _, p := range list {
			fmt.Fprint(h, p.UID, " ")
		}
		fmt.Fprintln(h)
	}
	for _, p := range c.ports {
		fmt.Fprintln(h, p.Name, p.Protocol, p.ContainerPort)
	}
	return openGroup + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

// description tells people which policies the class's group stands for.
func (c class) description() string {
	if c.open() {
		return "pods that no network policy isolates"
	}
	var names []string
	for _, p := range slices.Concat(c.ingress, c.egress) {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	text := fmt.Sprintf("network policies of namespace %s: %s", c.namespace, strings.Join(names, ", "))
	return text[:min(len(text), maxDescription)]
}

// maxDescription is what cis takes, in bytes.
const maxDescription = 128
