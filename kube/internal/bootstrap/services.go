package bootstrap

import (
	"context"
	"errors"

	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"cis/kube/internal/plane"
)

// servicesRole lets the node that leads to Services tell their public addresses.
// kubelet/deploy/rbac.yaml has the same for other clusters.
const servicesRole = "cis:services"

func applyServicesRole(ctx context.Context, client kubernetes.Interface, p *plane.Plane) error {
	if p.Services.Netns == "" {
		return nil
	}
	_, err := client.RbacV1().ClusterRoles().Apply(ctx, rbac.ClusterRole(servicesRole).WithRules(
		rbac.PolicyRule().WithAPIGroups("").WithResources("services/status").WithVerbs("update"),
	), applyOptions)
	return errors.Join(err, bind(ctx, client, servicesRole, subject("User", "system:node:"+p.Node.Name), servicesRole))
}
