package services

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// The labels by which an address is found again, beside that of the node.
const (
	labelNamespace = "cis.io/service-namespace"
	labelName      = "cis.io/service-name"
	labelUID       = "cis.io/service-uid"
)

// syncAddresses gives each Service of type LoadBalancer an address, and takes back those
// of the others.
func (c *Controller) syncAddresses(ctx context.Context, all []*corev1.Service) error {
	if err := c.learn(ctx); err != nil {
		return err
	}
	balanced := map[types.UID]*corev1.Service{}
	for _, s := range all {
		if isBalanced(s) {
			balanced[s.UID] = s
		}
	}
	var errs []error
	for uid, a := range c.addresses {
		if s := balanced[uid]; s == nil || s.Spec.LoadBalancerIP != "" && s.Spec.LoadBalancerIP != a.Address {
			errs = append(errs, c.release(ctx, uid, a))
		}
	}
	for _, s := range balanced {
		if err := c.balance(ctx, s); err != nil {
			c.warn(s, "SyncLoadBalancerFailed", err)
			errs = append(errs, fmt.Errorf("service %s/%s: %w", s.Namespace, s.Name, err))
		}
	}
	err := errors.Join(errs...)
	if err != nil {
		c.addresses = nil // an answer may have been lost
	}
	return err
}

// isBalanced says whether a Service is ours to give an address.
func isBalanced(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.LoadBalancerClass == nil && s.DeletionTimestamp == nil
}

// learn finds the addresses of the node's Services.
func (c *Controller) learn(ctx context.Context) error {
	if c.addresses != nil {
		return nil
	}
	all, err := c.Cis.Addresses(ctx)
	if err != nil {
		return fmt.Errorf("list the public addresses: %w", err)
	}
	c.addresses = map[types.UID]api.Address{}
	for _, a := range all {
		if uid := a.Labels[labelUID]; uid != "" && a.Labels[translate.LabelNode] == c.Node {
			c.addresses[types.UID(uid)] = a
		}
	}
	return nil
}

func (c *Controller) release(ctx context.Context, uid types.UID, a api.Address) error {
	if a.Bound() {
		if _, err := c.Cis.UnbindAddress(ctx, a.ID); err != nil && api.CodeOf(err) != api.NotFound {
			return fmt.Errorf("unbind public address %s: %w", a.Name, err)
		}
	}
	if err := c.Cis.RemoveAddress(ctx, a.ID); err != nil && api.CodeOf(err) != api.NotFound {
		return fmt.Errorf("give public address %s back: %w", a.Name, err)
	}
	delete(c.addresses, uid)
	return nil
}

// balance makes an address lead to the Service, then tells it.
func (c *Controller) balance(ctx context.Context, s *corev1.Service) error {
	a, ok := c.addresses[s.UID]
	if !ok {
		var err error
		if a, err = c.Cis.CreateAddress(ctx, addressFor(s, c.Node)); err != nil {
			return fmt.Errorf("get a public address: %w", err)
		}
		c.addresses[s.UID] = a
	}
	if a.VPC != vpc {
		bound, err := c.Cis.RouteAddress(ctx, a.ID, vpc)
		if err != nil {
			return fmt.Errorf("bind public address %s: %w", a.Address, err)
		}
		a = bound
		c.addresses[s.UID] = a
	}
	return c.tell(ctx, s, a)
}

// tell writes the address into the Service's status, by which kube-proxy serves it.
func (c *Controller) tell(ctx context.Context, s *corev1.Service, a api.Address) error {
	if in := s.Status.LoadBalancer.Ingress; len(in) == 1 && in[0].IP == a.Address {
		return nil
	}
	s = s.DeepCopy()
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: a.Address}}
	if _, err := c.Kube.CoreV1().Services(s.Namespace).UpdateStatus(ctx, s, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	c.Recorder.Eventf(s, corev1.EventTypeNormal, "EnsuredLoadBalancer", "Ensured load balancer at %s", a.Address)
	return nil
}

func addressFor(s *corev1.Service, node string) api.Address {
	return api.Address{Name: "lb-" + string(s.UID), Address: s.Spec.LoadBalancerIP, Labels: map[string]string{
		translate.LabelNode: node, labelUID: string(s.UID), labelNamespace: s.Namespace, labelName: s.Name,
	}}
}
