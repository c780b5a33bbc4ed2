package policy

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// state is what classes and rules depend on.
type state struct {
	policies   []selecting
	namespaces map[string]labels.Set
	peers      []*peer
}

// selecting is a policy with the pods that it is for.
type selecting struct {
	*networkingv1.NetworkPolicy
	pods labels.Selector
}

// peer is a pod as the policies of others see it.
type peer struct {
	namespace string
	labels    labels.Set
	addresses []netip.Addr
	ports     []corev1.ContainerPort
	// only is the single port that it has for others; 0: all.
	only int32
}

// clusterDNS is at the VPC's address for programs that serve it. To policies it is a pod
// with the labels that such pods have everywhere.
var clusterDNS = &peer{
	namespace: metav1.NamespaceSystem, labels: labels.Set{"k8s-app": "kube-dns"},
	addresses: []netip.Addr{netip.AddrFrom4([4]byte{198, 18, 0, 1})}, only: dnsPort,
	ports: []corev1.ContainerPort{
		{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: dnsPort}, {Name: "dns-tcp", Protocol: corev1.ProtocolTCP, ContainerPort: dnsPort},
	},
}

const dnsPort = 53

func newState(policies []*networkingv1.NetworkPolicy, namespaces []*corev1.Namespace) *state {
	s := &state{namespaces: map[string]labels.Set{}}
	for _, p := range policies {
		s.policies = append(s.policies, selecting{p, selector(&p.Spec.PodSelector)})
	}
	for _, n := range namespaces {
		s.namespaces[n.Name] = n.Labels
	}
	return s
}

// selector of labels; without one all are meant.
func selector(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return labels.Everything()
	}
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return out
}

// selected are the pods that a peer in a policy of a namespace stands for.
func (s *state) selected(namespace string, p networkingv1.NetworkPolicyPeer) (all []*peer) {
	pods, namespaces := selector(p.PodSelector), selector(p.NamespaceSelector)
	for _, one := range s.peers {
		in := one.namespace == namespace
		if p.NamespaceSelector != nil {
			set, known := s.namespaces[one.namespace]
			in = known && namespaces.Matches(set)
		}
		if in && pods.Matches(one.labels) {
			all = append(all, one)
		}
	}
	return all
}

// portsOf are the ports of all containers of a pod.
func portsOf(pod *corev1.Pod) (ports []corev1.ContainerPort) {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range list {
			ports = append(ports, c.Ports...)
		}
	}
	return ports
}

// numberOf is the port of a name, or 0.
func numberOf(ports []corev1.ContainerPort, name string, protocol corev1.Protocol) int32 {
	i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool {
		return p.Name == name && (p.Protocol == protocol || p.Protocol == "" && protocol == corev1.ProtocolTCP)
	})
	if i < 0 {
		return 0
	}
	return ports[i].ContainerPort
}
