package disks

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// selectedNode is where the scheduler says which node the claim's first pod goes to.
const selectedNode = "volume.kubernetes.io/selected-node"

// claim does what is next for a claim.
func (k *Controller) claim(ctx context.Context, namespace, name string) error {
	pvc, err := k.claims.PersistentVolumeClaims(namespace).Get(name)
	if err != nil || pvc.DeletionTimestamp != nil {
		return nil // the sweep comes after its end
	}
	if pvc.Spec.VolumeName != "" {
		return k.grown(ctx, pvc)
	}
	class := k.classOf(pvc)
	if class == nil || class.Provisioner != translate.DiskDriver || pvc.Annotations[selectedNode] != k.Node {
		return nil
	}
	if why := refusal(pvc, class); why != "" {
		k.warn(pvc, "ProvisioningFailed", why)
		return nil // another claim, or a change of this one, comes by itself
	}
	if err := k.provision(ctx, pvc, class); err != nil {
		k.warn(pvc, "ProvisioningFailed", err.Error())
		return err
	}
	return nil
}

func (k *Controller) classOf(pvc *corev1.PersistentVolumeClaim) *storagev1.StorageClass {
	if pvc.Spec.StorageClassName == nil {
		return nil
	}
	class, err := k.classes.Get(*pvc.Spec.StorageClassName)
	if err != nil {
		return nil
	}
	return class
}

// Parameters of a storage class.
const isolationParameter = "isolation"

// refusal says why there can be no disk for the claim, by the field; empty: there can.
func refusal(pvc *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) string {
	for i, mode := range pvc.Spec.AccessModes {
		if mode != corev1.ReadWriteOnce && mode != corev1.ReadWriteOncePod {
			return fmt.Sprintf("spec.accessModes[%d]: one pod at a time has a disk, so it is %s or %s, not %s", i, corev1.ReadWriteOnce, corev1.ReadWriteOncePod, mode)
		}
	}
	switch spec := pvc.Spec; {
	case spec.VolumeMode != nil && *spec.VolumeMode != corev1.PersistentVolumeFilesystem:
		return fmt.Sprintf("spec.volumeMode: a disk has a file system, so it is Filesystem, not %s", *spec.VolumeMode)
	case spec.Selector != nil:
		return "spec.selector: chooses among volumes that are there, and this one is to be made"
	case spec.DataSource != nil || spec.DataSourceRef != nil:
		return "spec.dataSource: a disk of a claim begins empty"
	case spec.VolumeAttributesClassName != nil && *spec.VolumeAttributesClassName != "":
		return "spec.volumeAttributesClassName: disks have no attributes to choose"
	case len(class.MountOptions) > 0:
		return fmt.Sprintf("storageclass %s: mountOptions: disks have none", class.Name)
	}
	for name, value := range class.Parameters {
		if name != isolationParameter {
			return fmt.Sprintf("storageclass %s: parameters.%s: is not known; there is %s", class.Name, name, isolationParameter)
		}
		switch api.Isolation(value) {
		case api.IsolationAuto, api.IsolationVM, api.IsolationGVisor:
		default:
			return fmt.Sprintf("storageclass %s: parameters.%s: must be %s, %s or %s, not %q", class.Name, name, api.IsolationAuto, api.IsolationVM, api.IsolationGVisor, value)
		}
	}
	return ""
}

// provision makes the claim's disk and, of it, a volume that only this claim gets.
func (k *Controller) provision(ctx context.Context, pvc *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) error {
	now, err := k.Kube.CoreV1().PersistentVolumeClaims(pvc.Namespace).Get(ctx, pvc.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && (now.UID != pvc.UID || now.DeletionTimestamp != nil || now.Spec.VolumeName != "") {
		return nil // what was seen of it is old
	}
	if err != nil {
		return fmt.Errorf("get the claim: %w", err)
	}
	d, err := k.disk(ctx, pvc, class)
	if err != nil {
		return err
	}
	pv := k.volumeOf(pvc, class, d)
	made, err := k.Kube.CoreV1().PersistentVolumes().Create(ctx, pv, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		made, err = k.Kube.CoreV1().PersistentVolumes().Get(ctx, pv.Name, metav1.GetOptions{})
		if err == nil && (made.Spec.ClaimRef == nil || made.Spec.ClaimRef.UID != pvc.UID) {
			err = fmt.Errorf("there is a volume %s, which is not this claim's", pv.Name)
		}
	}
	if err != nil {
		return fmt.Errorf("make the volume of disk %s: %w", d.Name, err)
	}
	if err := k.settle(ctx, d); err != nil {
		return err
	}
	k.Recorder.Event(pvc, corev1.EventTypeNormal, "ProvisioningSucceeded", "Successfully provisioned volume "+made.Name)
	return nil
}

// The labels of a disk say for what it was made.
const (
	labelClaimUID       = "cis.io/claim-uid"
	labelClaimNamespace = "cis.io/claim-namespace"
	labelClaimName      = "cis.io/claim-name"
	// labelPending is there until the disk is a volume.
	labelPending = "cis.io/volume-pending"
)

// nameOf is that of the claim's disk and of its volume.
func nameOf(pvc *corev1.PersistentVolumeClaim) string { return "pvc-" + string(pvc.UID) }

// disk makes the claim's disk, or finds it.
func (k *Controller) disk(ctx context.Context, pvc *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) (api.Disk, error) {
	d := api.Disk{Name: nameOf(pvc), Size: sizeOf(pvc.Spec.Resources.Requests), Isolation: api.Isolation(class.Parameters[isolationParameter]),
		Labels: map[string]string{
			translate.LabelNode: k.Node, labelClaimUID: string(pvc.UID), labelClaimNamespace: pvc.Namespace,
			labelClaimName: translate.LabelText(pvc.Name), labelPending: "true",
		}}
	made, err := k.Cis.CreateDisk(ctx, d)
	if api.CodeOf(err) == api.Conflict {
		made, err = k.Cis.Disk(ctx, d.Name)
		if err == nil && made.Labels[labelClaimUID] != string(pvc.UID) {
			err = fmt.Errorf("it is not this claim's")
		}
	}
	if err != nil {
		return made, fmt.Errorf("make disk %s: %w", d.Name, err)
	}
	return made, nil
}

// settle notes that a disk has become a volume.
func (k *Controller) settle(ctx context.Context, d api.Disk) error {
	if _, pending := d.Labels[labelPending]; !pending {
		return nil
	}
	labels := maps.Clone(d.Labels)
	delete(labels, labelPending)
	if _, err := k.Cis.UpdateDisk(ctx, d.Name, api.DiskUpdate{Labels: labels, Revision: d.Revision}); err != nil {
		return fmt.Errorf("note that disk %s is a volume: %w", d.Name, err)
	}
	return nil
}

// sizeOf is what is asked for, as a disk can have it.
func sizeOf(l corev1.ResourceList) api.Bytes {
	asked := api.Bytes(l.Storage().Value())
	return max((asked+api.MiB-1)/api.MiB*api.MiB, api.MinDisk)
}
