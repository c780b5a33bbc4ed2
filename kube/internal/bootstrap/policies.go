package bootstrap

import (
	"context"

	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"
)

// policyRole lets nodes turn network policies into security groups of their pods.
// kubelet/deploy/rbac.yaml has the same for other clusters.
const policyRole = "cis:policies"

func applyPolicyRole(ctx context.Context, client kubernetes.Interface) error {
	watch := []string{"get", "list", "watch"}
	_, err := client.RbacV1().ClusterRoles().Apply(ctx, rbac.ClusterRole(policyRole).WithRules(
		rbac.PolicyRule().WithAPIGroups("networking.k8s.io").WithResources("networkpolicies").WithVerbs(watch...),
		rbac.PolicyRule().WithAPIGroups("").WithResources("namespaces").WithVerbs(watch...),
	), applyOptions)
	return err
}
