package bootstrap

import (
	"context"
	"errors"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	storage "k8s.io/client-go/applyconfigurations/storage/v1"
	"k8s.io/client-go/kubernetes"
)

// What nodes need to make volumes of disks. kubelet/deploy/disks.yaml has the same for
// other clusters.
const (
	diskRole   = "cis:disks"
	diskDriver = "disk.cis.io"
)

func applyDisks(ctx context.Context, client kubernetes.Interface) error {
	rule := func(group, resource string, verbs ...string) *rbac.PolicyRuleApplyConfiguration {
		return rbac.PolicyRule().WithAPIGroups(group).WithResources(resource).WithVerbs(verbs...)
	}
	_, err := client.RbacV1().ClusterRoles().Apply(ctx, rbac.ClusterRole(diskRole).WithRules(
		rule("", "persistentvolumeclaims", "get", "list", "watch"),
		rule("", "persistentvolumeclaims/status", "patch"),
		rule("", "persistentvolumes", "get", "list", "watch", "create", "update", "patch", "delete"),
		rule("storage.k8s.io", "storageclasses", "get", "list", "watch"),
	), applyOptions)
	failed := []error{err}
	_, err = client.StorageV1().CSIDrivers().Apply(ctx, storage.CSIDriver(diskDriver).WithSpec(storage.CSIDriverSpec().
		WithAttachRequired(false).WithPodInfoOnMount(false).WithVolumeLifecycleModes(storagev1.VolumeLifecyclePersistent)), applyOptions)
	failed = append(failed, err)
	for name, isolation := range diskClasses {
		failed = append(failed, createDiskClass(ctx, client, name, isolation))
	}
	return errors.Join(failed...)
}

const defaultDiskClass = "cis-disk"

// diskClasses by name; the isolation of one is that of pods which can have its disks,
// where it is not the host's own.
var diskClasses = map[string]string{defaultDiskClass: "", "cis-disk-vm": "vm", "cis-disk-gvisor": "gvisor"}

// createDiskClass leaves one alone that is there: which class is the default one, and what
// becomes of released volumes, is for the cluster's administrator to change.
func createDiskClass(ctx context.Context, client kubernetes.Interface, name, isolation string) error {
	wait, expand := storagev1.VolumeBindingWaitForFirstConsumer, true
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: diskDriver, VolumeBindingMode: &wait, AllowVolumeExpansion: &expand}
	if isolation != "" {
		class.Parameters = map[string]string{"isolation": isolation}
	}
	if name == defaultDiskClass {
		class.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
	}
	_, err := client.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
