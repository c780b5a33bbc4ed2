package node

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// leaseSeconds is how long the node counts as alive after a renewal.
	leaseSeconds = 40
	leasePeriod  = 10 * time.Second
)

// KeepLease renews the node's lease until ctx ends.
func (n *Node) KeepLease(ctx context.Context) {
	tick := time.NewTicker(leasePeriod)
	defer tick.Stop()
	for {
		if err := n.renew(ctx); err != nil && ctx.Err() == nil {
			n.Log.Warn("the node's lease is not renewed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *Node) renew(ctx context.Context) error {
	leases := n.Kube.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now := metav1.NowMicro()
	lease, err := leases.Get(ctx, n.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Namespace: corev1.NamespaceNodeLease}}
		if err := n.own(ctx, lease); err != nil {
			return err
		}
		n.fill(lease, now)
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	n.fill(lease, now)
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// own ties the lease to the node, so that it goes with it.
func (n *Node) own(ctx context.Context, lease *coordinationv1.Lease) error {
	node, err := n.Kube.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get the node of the lease: %w", err)
	}
	lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
	return nil
}

func (n *Node) fill(lease *coordinationv1.Lease, now metav1.MicroTime) {
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &n.Name, new(int32(leaseSeconds)), &now
}
