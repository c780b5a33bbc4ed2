package bootstrap

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	discovery "k8s.io/client-go/applyconfigurations/discovery/v1"
	"k8s.io/client-go/kubernetes"
)

// applyEndpoint says behind the Service kubernetes where pods find the API server. The
// API server's own way to do so takes only its own address and port; pods in a VPC may
// need another.
func applyEndpoint(ctx context.Context, client kubernetes.Interface, endpoint netip.AddrPort) error {
	return kept{
		namespace: metav1.NamespaceDefault, name: "kubernetes", service: "kubernetes", endpoint: endpoint,
		ports: map[string]corev1.Protocol{"https": corev1.ProtocolTCP},
	}.apply(ctx, client)
}

// kept is an EndpointSlice with one endpoint, which is not a pod.
type kept struct {
	namespace, name, service string
	endpoint                 netip.AddrPort             // none if it is not valid
	ports                    map[string]corev1.Protocol // by name; all have the endpoint's number
}

func (k kept) apply(ctx context.Context, client kubernetes.Interface) error {
	all := client.DiscoveryV1().EndpointSlices(k.namespace)
	if !k.endpoint.IsValid() {
		err := all.Delete(ctx, k.name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	family := discoveryv1.AddressTypeIPv4
	if k.endpoint.Addr().Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	if old, err := all.Get(ctx, k.name, metav1.GetOptions{}); err == nil && old.AddressType != family {
		// It cannot be changed.
		if err := all.Delete(ctx, k.name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	slice := discovery.EndpointSlice(k.name, k.namespace).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: k.service, discoveryv1.LabelManagedBy: fieldManager}).
		WithAddressType(family).
		WithEndpoints(discovery.Endpoint().WithAddresses(k.endpoint.Addr().String()).
			WithConditions(discovery.EndpointConditions().WithReady(true)))
	for _, name := range slices.Sorted(maps.Keys(k.ports)) {
		slice.WithPorts(discovery.EndpointPort().WithName(name).WithProtocol(k.ports[name]).WithPort(int32(k.endpoint.Port())))
	}
	_, err := all.Apply(ctx, slice, applyOptions)
	return err
}
