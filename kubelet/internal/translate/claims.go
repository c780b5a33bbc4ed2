package translate

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis/api"
)

// DiskDriver is the name under which volumes of a cluster are disks of cis: their handle is
// the disk's name. Storage classes have it as their provisioner.
const DiskDriver = "disk.cis.io"

// Claim for a volume, with the volume that it got; nil: it has none yet.
type Claim struct {
	*corev1.PersistentVolumeClaim
	Volume *corev1.PersistentVolume
}

// claimOf is the name of the claim that a volume of the pod shows; empty: it is of another
// kind.
func claimOf(pod *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return pod.Name + "-" + v.Name
	}
	return ""
}

// claimed is the disk that a claim stands for.
func (t *translation) claimed(v *corev1.Volume, name, field string) (out api.Volume, ok bool) {
	claim := t.Material.Claims[name]
	switch {
	case claim.PersistentVolumeClaim == nil:
		t.problems.lacks(v.Name, "persistentvolumeclaim %q not found", name)
		return out, false
	case v.Ephemeral != nil && !metav1.IsControlledBy(claim.PersistentVolumeClaim, t.Pod):
		t.problems.lacks(v.Name, "persistentvolumeclaim %q was not created for this pod", name)
		return out, false
	case claim.Volume == nil || claim.Status.Phase != corev1.ClaimBound:
		t.problems.lacks(v.Name, "persistentvolumeclaim %q is not bound to a volume", name)
		return out, false
	}
	source := claim.Volume.Spec.CSI
	if source == nil || source.Driver != DiskDriver {
		t.problems.refuse(field, "volume %s is not a disk of cis: only those of driver %s are", claim.Volume.Name, DiskDriver)
		return out, false
	}
	if mode := claim.Volume.Spec.VolumeMode; mode != nil && *mode != corev1.PersistentVolumeFilesystem {
		t.problems.refuse(field, "volume %s has volumeMode %s; a disk of cis has a file system", claim.Volume.Name, *mode)
		return out, false
	}
	if source.ReadOnly || v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly {
		t.readOnly[v.Name] = true
	}
	return api.Volume{Name: v.Name, Disk: &api.DiskVolume{Name: source.VolumeHandle}}, true
}
