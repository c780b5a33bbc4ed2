package bootstrap

import (
	"context"
	"errors"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"cis/kube/internal/plane"
)

const (
	dnsRole = "cis:coredns"
	// The name by which everybody looks for the cluster's DNS.
	dnsService = "kube-dns"
	dnsPort    = 53
)

// applyDNS gives the cluster's DNS its address and what it may read.
func applyDNS(ctx context.Context, client kubernetes.Interface, ip netip.Addr) error {
	watch := []string{"list", "watch"}
	_, roleErr := client.RbacV1().ClusterRoles().Apply(ctx, rbac.ClusterRole(dnsRole).WithRules(
		rbac.PolicyRule().WithAPIGroups("").WithResources("services", "namespaces", "pods").WithVerbs(watch...),
		rbac.PolicyRule().WithAPIGroups("discovery.k8s.io").WithResources("endpointslices").WithVerbs(watch...),
	), applyOptions)
	port := func(name string, protocol corev1.Protocol) *core.ServicePortApplyConfiguration {
		return core.ServicePort().WithName(name).WithProtocol(protocol).WithPort(dnsPort).WithTargetPort(intstr.FromInt32(dnsPort))
	}
	_, serviceErr := client.CoreV1().Services(metav1.NamespaceSystem).Apply(ctx, core.Service(dnsService, metav1.NamespaceSystem).
		WithLabels(map[string]string{"k8s-app": dnsService, "kubernetes.io/name": "CoreDNS"}).
		WithSpec(core.ServiceSpec().WithClusterIP(ip.String()).
			WithPorts(port("dns", corev1.ProtocolUDP), port("dns-tcp", corev1.ProtocolTCP))), applyOptions)
	return errors.Join(roleErr, serviceErr)
}

// applyDNSEndpoint says where the cluster's DNS runs, if it does on this host. Elsewhere
// it is the nodes' affair, under other names.
func applyDNSEndpoint(ctx context.Context, client kubernetes.Interface, services plane.Services) error {
	var endpoint netip.AddrPort
	if services != (plane.Services{}) {
		endpoint = plane.DNSAddress
	}
	return kept{
		namespace: metav1.NamespaceSystem, name: fieldManager + "-dns", service: dnsService, endpoint: endpoint,
		ports: map[string]corev1.Protocol{"dns": corev1.ProtocolUDP, "dns-tcp": corev1.ProtocolTCP},
	}.apply(ctx, client)
}
