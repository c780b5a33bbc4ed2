package bootstrap

import (
	"context"
	"encoding/base64"
	"errors"
	"os"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	rbac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"cis/kube/internal/home"
	"cis/kube/internal/pki"
	"cis/kube/internal/plane"
)

const (
	metricsRole    = "cis:metrics-server"
	metricsService = "metrics-server"
	metricsPort    = 443
	// The API that metrics-server serves, and the name of its registration.
	metricsGroup, metricsVersion = "metrics.k8s.io", "v1beta1"
	metricsAPI                   = metricsVersion + "." + metricsGroup
	// ownerLabel marks what would be another's if it were not marked.
	ownerLabel = "app.kubernetes.io/managed-by"
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// applyMetrics lets metrics-server read what it has to, and registers its API while it is
// there: a registration that leads nowhere would make every client's discovery fail in part.
func applyMetrics(ctx context.Context, client kubernetes.Interface, all dynamic.Interface, p *plane.Plane) error {
	endpoint := p.MetricsEndpoint()
	err := kept{
		namespace: metav1.NamespaceSystem, name: fieldManager + "-metrics", service: metricsService, endpoint: endpoint,
		ports: map[string]corev1.Protocol{"https": corev1.ProtocolTCP},
	}.apply(ctx, client)
	if p.Metrics.IsValid() {
		err = errors.Join(err, applyMetricsRoles(ctx, client), applyMetricsService(ctx, client))
	}
	if !endpoint.IsValid() {
		return errors.Join(err, removeMetricsAPI(ctx, all))
	}
	return errors.Join(err, applyMetricsAPI(ctx, all, p))
}

func applyMetricsRoles(ctx context.Context, client kubernetes.Interface) error {
	roles := client.RbacV1().ClusterRoles()
	_, serverErr := roles.Apply(ctx, rbac.ClusterRole(metricsRole).WithRules(
		rbac.PolicyRule().WithAPIGroups("").WithResources("nodes/metrics").WithVerbs("get"),
		rbac.PolicyRule().WithAPIGroups("").WithResources("pods", "nodes").WithVerbs("get", "list", "watch"),
	), applyOptions)
	// Who may see pods may see what they use.
	_, readerErr := roles.Apply(ctx, rbac.ClusterRole("system:aggregated-metrics-reader").WithLabels(map[string]string{
		"rbac.authorization.k8s.io/aggregate-to-view": "true", "rbac.authorization.k8s.io/aggregate-to-edit": "true",
		"rbac.authorization.k8s.io/aggregate-to-admin": "true",
	}).WithRules(
		rbac.PolicyRule().WithAPIGroups(metricsGroup).WithResources("pods", "nodes").WithVerbs("get", "list", "watch"),
	), applyOptions)
	_, authErr := client.RbacV1().RoleBindings(metav1.NamespaceSystem).Apply(ctx, rbac.RoleBinding(metricsRole, metav1.NamespaceSystem).
		WithSubjects(subject("User", pki.MetricsServerUser)).
		WithRoleRef(rbac.RoleRef().WithAPIGroup(rbacGroup).WithKind("Role").WithName("extension-apiserver-authentication-reader")), applyOptions)
	return errors.Join(serverErr, readerErr, authErr)
}

func applyMetricsService(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().Services(metav1.NamespaceSystem).Apply(ctx, core.Service(metricsService, metav1.NamespaceSystem).
		WithLabels(map[string]string{"k8s-app": metricsService}).
		WithSpec(core.ServiceSpec().WithPorts(core.ServicePort().WithName("https").WithProtocol(corev1.ProtocolTCP).
			WithPort(metricsPort).WithTargetPort(intstr.FromInt32(metricsPort)))), applyOptions)
	return err
}

func applyMetricsAPI(ctx context.Context, all dynamic.Interface, p *plane.Plane) error {
	ca, err := os.ReadFile(home.PKI(p.DataDir, pki.CA+".crt"))
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": apiServices.GroupVersion().String(), "kind": "APIService",
		"metadata": map[string]any{"name": metricsAPI, "labels": map[string]any{ownerLabel: fieldManager}},
		"spec": map[string]any{
			"group": metricsGroup, "version": metricsVersion, "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"service":  map[string]any{"namespace": metav1.NamespaceSystem, "name": metricsService, "port": int64(metricsPort)},
			"caBundle": base64.StdEncoding.EncodeToString(ca),
		},
	}}
	_, err = all.Resource(apiServices).Apply(ctx, metricsAPI, object, applyOptions)
	return err
}

// removeMetricsAPI leaves the registration of a metrics-server that somebody else runs.
func removeMetricsAPI(ctx context.Context, all dynamic.Interface) error {
	found, err := all.Resource(apiServices).Get(ctx, metricsAPI, metav1.GetOptions{})
	if err == nil && found.GetLabels()[ownerLabel] == fieldManager {
		err = all.Resource(apiServices).Delete(ctx, metricsAPI, metav1.DeleteOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
