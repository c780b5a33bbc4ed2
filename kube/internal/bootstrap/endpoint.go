package bootstrap

import (
	"context"
	"net/netip"

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
	const name = "kubernetes"
	slices := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault)
	if !endpoint.IsValid() {
		err := slices.Delete(ctx, name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	family := discoveryv1.AddressTypeIPv4
	if endpoint.Addr().Is6() {
		family = discoveryv1.AddressTypeIPv6
	}
	if old, err := slices.Get(ctx, name, metav1.GetOptions{}); err == nil && old.AddressType != family {
		// It cannot be changed.
		if err := slices.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	_, err := slices.Apply(ctx, discovery.EndpointSlice(name, metav1.NamespaceDefault).
		WithLabels(map[string]string{discoveryv1.LabelServiceName: name, discoveryv1.LabelManagedBy: fieldManager}).
		WithAddressType(family).
		WithEndpoints(discovery.Endpoint().WithAddresses(endpoint.Addr().String()).
			WithConditions(discovery.EndpointConditions().WithReady(true))).
		WithPorts(discovery.EndpointPort().WithName("https").WithProtocol("TCP").WithPort(int32(endpoint.Port()))), applyOptions)
	return err
}
