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
)

const (
	dnsRole = "cis:coredns"
	// The name by which everybody looks for the cluster's DNS.
	dnsService = "kube-dns"
	dnsPort    = 53
)

// applyDNS gives the cluster's DNS its address and what it may read. Where it runs, and
// so its endpoints, is the nodes' affair: it serves inside of VPCs.
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
