package disks

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// sweep removes disks that were made for claims that are gone before there was a volume.
// The API server itself is asked for both.
func (k *Controller) sweep(ctx context.Context) error {
	all, err := k.Cis.Disks(ctx)
	if err != nil {
		return fmt.Errorf("list the disks: %w", err)
	}
	var failed []error
	for _, d := range all {
		if _, pending := d.Labels[labelPending]; pending && d.Labels[translate.LabelNode] == k.Node {
			failed = append(failed, k.sweepDisk(ctx, d))
		}
	}
	return errors.Join(failed...)
}

func (k *Controller) sweepDisk(ctx context.Context, d api.Disk) error {
	pv, err := k.Kube.CoreV1().PersistentVolumes().Get(ctx, d.Name, metav1.GetOptions{})
	switch {
	case err == nil && k.ours(pv):
		return k.settle(ctx, d)
	case err == nil: // another node was chosen
		return k.removeUnused(ctx, d)
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("get volume %s: %w", d.Name, err)
	}
	pvc, err := k.Kube.CoreV1().PersistentVolumeClaims(d.Labels[labelClaimNamespace]).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the claims of %s: %w", d.Labels[labelClaimNamespace], err)
	}
	for i := range pvc.Items {
		if string(pvc.Items[i].UID) == d.Labels[labelClaimUID] {
			return nil
		}
	}
	return k.removeUnused(ctx, d)
}

func (k *Controller) removeUnused(ctx context.Context, d api.Disk) error {
	k.Log.Info("the disk has become no volume, and goes", "disk", d.Name)
	if err := k.Cis.RemoveDisk(ctx, d.Name); err != nil && api.CodeOf(err) != api.NotFound {
		return fmt.Errorf("remove disk %s: %w", d.Name, err)
	}
	return nil
}
