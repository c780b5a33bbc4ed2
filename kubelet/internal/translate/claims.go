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

// claimed is the volume that a claim stands for: a disk, or a directory of an NFS server.
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
	if mode := claim.Volume.Spec.VolumeMode; mode != nil && *mode != corev1.PersistentVolumeFilesystem {
		t.problems.refuse(field, "volume %s has volumeMode %s; a pod gets file systems only", claim.Volume.Name, *mode)
		return out, false
	}
	readOnly := v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly
	switch spec := claim.Volume.Spec; {
	case spec.NFS != nil:
		out = api.Volume{Name: v.Name, NFS: nfsVolume(spec.NFS)}
		if err := mountOptions(out.NFS, spec.MountOptions); err != nil {
			t.problems.refuse(field, "volume %s: %v", claim.Volume.Name, err)
			return out, false
		}
		out.NFS.ReadOnly = out.NFS.ReadOnly || readOnly
	case spec.CSI != nil && spec.CSI.Driver == DiskDriver:
		out = api.Volume{Name: v.Name, Disk: &api.DiskVolume{Name: spec.CSI.VolumeHandle}}
		readOnly = readOnly || spec.CSI.ReadOnly
	default:
		t.problems.refuse(field, "volume %s is neither a disk of cis, of driver %s, nor NFS", claim.Volume.Name, DiskDriver)
		return out, false
	}
	t.readOnly[v.Name] = readOnly
	return out, true
}
