package bootstrap

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"cis/kube/internal/pki"
)

const rbacGroup = "rbac.authorization.k8s.io"

var applyOptions = metav1.ApplyOptions{FieldManager: fieldManager, Force: true}

// bindings give groups and users roles.
var bindings = []struct{ name, kind, subject, role string }{
	{"cis:kubelet-api", "User", pki.KubeletClientUser, "system:kubelet-api-admin"},
	{dnsRole, "User", pki.CoreDNSUser, dnsRole},
	{metricsRole, "User", pki.MetricsServerUser, metricsRole},
	{metricsRole + "-auth", "User", pki.MetricsServerUser, "system:auth-delegator"},
	{"cis:node-bootstrapper", "Group", NodeGroup, "system:node-bootstrapper"},
	{diskRole, "Group", "system:nodes", diskRole},
	{policyRole, "Group", "system:nodes", policyRole},
	// Who may have a certificate approved: a node that joins, and a node that renews its own.
	{"cis:node-approve-first", "Group", NodeGroup, "system:certificates.k8s.io:certificatesigningrequests:nodeclient"},
	{"cis:node-approve-renewal", "Group", "system:nodes", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient"},
}

func applyRoles(ctx context.Context, client kubernetes.Interface) error {
	var failed []error
	for _, b := range bindings {
		failed = append(failed, bind(ctx, client, b.name, subject(b.kind, b.subject), b.role))
	}
	return errors.Join(failed...)
}

// bind gives somebody a role.
func bind(ctx context.Context, client kubernetes.Interface, name string, who *rbac.SubjectApplyConfiguration, role string) error {
	_, err := client.RbacV1().ClusterRoleBindings().Apply(ctx, rbac.ClusterRoleBinding(name).WithSubjects(who).
		WithRoleRef(rbac.RoleRef().WithAPIGroup(rbacGroup).WithKind("ClusterRole").WithName(role)), applyOptions)
	return err
}

func subject(kind, name string) *rbac.SubjectApplyConfiguration {
	return rbac.Subject().WithAPIGroup(rbacGroup).WithKind(kind).WithName(name)
}
