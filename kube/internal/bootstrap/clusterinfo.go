package bootstrap

import (
	"context"
	"errors"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"cis/kube/internal/home"
	"cis/kube/internal/pki"
	"cis/kube/internal/plane"
)

// The ConfigMap from which who has only a join token learns the cluster's address and CA;
// the controller manager signs it with each token, so that it can be trusted.
const clusterInfoName = "cluster-info"

func clusterInfo(p *plane.Plane) (string, error) {
	ca, err := os.ReadFile(home.PKI(p.DataDir, pki.CA+".crt"))
	if err != nil {
		return "", err
	}
	data, err := pki.ClusterKubeconfig(p.NodeServer(), ca)
	return string(data), err
}

func applyClusterInfo(ctx context.Context, client kubernetes.Interface, info string) error {
	const namespace = metav1.NamespacePublic
	_, mapErr := client.CoreV1().ConfigMaps(namespace).Apply(ctx, core.ConfigMap(clusterInfoName, namespace).
		WithData(map[string]string{"kubeconfig": info}), applyOptions)
	// Anyone may read it: it holds no secret.
	_, roleErr := client.RbacV1().Roles(namespace).Apply(ctx, rbac.Role("cis:cluster-info", namespace).
		WithRules(rbac.PolicyRule().WithAPIGroups("").WithResources("configmaps").WithResourceNames(clusterInfoName).WithVerbs("get")), applyOptions)
	_, bindingErr := client.RbacV1().RoleBindings(namespace).Apply(ctx, rbac.RoleBinding("cis:cluster-info", namespace).
		WithSubjects(subject("User", "system:anonymous")).
		WithRoleRef(rbac.RoleRef().WithAPIGroup(rbacGroup).WithKind("Role").WithName("cis:cluster-info")), applyOptions)
	return errors.Join(mapErr, roleErr, bindingErr)
}
