package disks

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"cis-kubelet/internal/translate"
	"cis/api"
)

const (
	// provisionedBy says that no controller of the cluster's own is to remove the volume.
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	// madeBy names the node on whose host the disk is.
	madeBy = "cis.io/node"
	// finalizer keeps a volume until its disk is gone.
	finalizer = "cis.io/disk"
)

// volumeOf is a volume that the claim gets.
func (k *Controller) volumeOf(pvc *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, d api.Disk) *corev1.PersistentVolume {
	policy := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	mode := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: nameOf(pvc), Annotations: map[string]string{provisionedBy: translate.DiskDriver, madeBy: k.Node}, Finalizers: []string{finalizer}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: *quantity(d.Size)},
			AccessModes:                   pvc.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: policy,
			StorageClassName:              class.Name,
			VolumeMode:                    &mode,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: translate.DiskDriver, VolumeHandle: d.Name}},
			ClaimRef: &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1",
				Namespace: pvc.Namespace, Name: pvc.Name, UID: pvc.UID, ResourceVersion: pvc.ResourceVersion},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{k.Node}}}}}}},
		},
	}
}

func quantity(b api.Bytes) *resource.Quantity {
	return resource.NewQuantity(int64(b), resource.BinarySI)
}

// volume removes a volume of this node that is done with, and its disk if that is its
// policy. The API server itself is asked, since what is removed does not come back.
func (k *Controller) volume(ctx context.Context, name string) error {
	seen, err := k.volumes.Get(name)
	if err != nil || !k.ours(seen) || !done(seen) {
		return nil
	}
	pv, err := k.Kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get volume %s: %w", name, err)
	}
	if pv.UID != seen.UID || !k.ours(pv) || !done(pv) {
		return nil // what comes next is told
	}
	if pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		if pv.DeletionTimestamp == nil {
			return nil
		}
		return k.release(ctx, pv)
	}
	if err := k.Cis.RemoveDisk(ctx, pv.Spec.CSI.VolumeHandle); err != nil && api.CodeOf(err) != api.NotFound {
		k.Recorder.Event(pv, corev1.EventTypeWarning, "VolumeFailedDelete", err.Error())
		return fmt.Errorf("remove disk %s: %w", pv.Spec.CSI.VolumeHandle, err)
	}
	err = k.Kube.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pv.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return k.release(ctx, pv)
}

// ours tells of volumes that this node has made.
func (k *Controller) ours(pv *corev1.PersistentVolume) bool {
	return pv.Annotations[provisionedBy] == translate.DiskDriver && pv.Annotations[madeBy] == k.Node &&
		pv.Spec.CSI != nil && pv.Spec.CSI.Driver == translate.DiskDriver && slices.Contains(pv.Finalizers, finalizer)
}

// done tells whether no claim has, or will have, the volume.
func done(pv *corev1.PersistentVolume) bool {
	return pv.Status.Phase == corev1.VolumeReleased || pv.DeletionTimestamp != nil && pv.Status.Phase != corev1.VolumeBound
}

// release lets the API server forget the volume.
func (k *Controller) release(ctx context.Context, pv *corev1.PersistentVolume) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		now, err := k.Kube.CoreV1().PersistentVolumes().Get(ctx, pv.Name, metav1.GetOptions{})
		if err != nil || now.UID != pv.UID {
			return err
		}
		now.Finalizers = slices.DeleteFunc(now.Finalizers, func(f string) bool { return f == finalizer })
		_, err = k.Kube.CoreV1().PersistentVolumes().Update(ctx, now, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release volume %s: %w", pv.Name, err)
	}
	return nil
}
