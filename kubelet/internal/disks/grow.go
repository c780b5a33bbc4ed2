package disks

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// grown lets the disk of a claim grow that asks for more than it has. One that a pod has
// grows when the next pod is about to get it.
func (k *Controller) grown(ctx context.Context, pvc *corev1.PersistentVolumeClaim) error {
	pv, err := k.volumes.Get(pvc.Spec.VolumeName)
	if err != nil || !k.ours(pv) {
		return nil
	}
	err = k.Grow(ctx, pvc, pv)
	if api.CodeOf(err) == api.Conflict {
		return k.pending(ctx, pvc)
	}
	if err != nil {
		k.warn(pvc, "VolumeResizeFailed", err.Error())
	}
	return err
}

// Grow lets the disk of a bound claim be as big as the claim asks for. It fails with
// Conflict while an instance has the disk.
func (k *Controller) Grow(ctx context.Context, pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) error {
	has := pv.Spec.Capacity.Storage()
	if pv.Spec.CSI == nil || pv.Spec.CSI.Driver != translate.DiskDriver || pvc.Status.Phase != corev1.ClaimBound {
		return nil
	}
	if pvc.Spec.Resources.Requests.Storage().Cmp(*has) > 0 {
		size := sizeOf(pvc.Spec.Resources.Requests)
		if err := k.growDisk(ctx, pv.Spec.CSI.VolumeHandle, size); err != nil {
			return err
		}
		has = quantity(size)
		if err := k.tellVolume(ctx, pv.Name, size); err != nil {
			return err
		}
	}
	if pvc.Status.Capacity.Storage().Cmp(*has) >= 0 {
		return nil
	}
	return k.tellClaim(ctx, pvc, map[string]any{
		"capacity": corev1.ResourceList{corev1.ResourceStorage: *has}, "conditions": []map[string]string{{"$patch": "delete", "type": string(pendingType)}}})
}

func (k *Controller) growDisk(ctx context.Context, name string, size api.Bytes) error {
	d, err := k.Cis.Disk(ctx, name)
	if err == nil && d.Size < size {
		_, err = k.Cis.UpdateDisk(ctx, name, api.DiskUpdate{Size: size})
	}
	if err != nil {
		return fmt.Errorf("grow disk %s: %w", name, err)
	}
	return nil
}

// pending says that the claim waits for its pod's end.
func (k *Controller) pending(ctx context.Context, pvc *corev1.PersistentVolumeClaim) error {
	if slices.ContainsFunc(pvc.Status.Conditions, isPending) {
		return nil
	}
	const message = "a disk grows while no pod has it: delete the pod, and the next one has the bigger disk"
	k.Recorder.Event(pvc, corev1.EventTypeNormal, "FileSystemResizeRequired", message)
	return k.tellClaim(ctx, pvc, map[string]any{"conditions": []corev1.PersistentVolumeClaimCondition{{
		Type: pendingType, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(), Message: message}}})
}

const pendingType = corev1.PersistentVolumeClaimFileSystemResizePending

func isPending(c corev1.PersistentVolumeClaimCondition) bool { return c.Type == pendingType }

// tellClaim writes parts of a claim's status: those that a node may write.
func (k *Controller) tellClaim(ctx context.Context, pvc *corev1.PersistentVolumeClaim, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"status": status})
	if err == nil {
		_, err = k.Kube.CoreV1().PersistentVolumeClaims(pvc.Namespace).Patch(ctx, pvc.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		return fmt.Errorf("write the claim's status: %w", err)
	}
	return nil
}

func (k *Controller) tellVolume(ctx context.Context, name string, size api.Bytes) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"capacity": corev1.ResourceList{corev1.ResourceStorage: *quantity(size)}}})
	if err == nil {
		_, err = k.Kube.CoreV1().PersistentVolumes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("write the capacity of volume %s: %w", name, err)
	}
	return nil
}
