package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"cis/api"
)

func TestNode(t *testing.T) {
	kube := fake.NewClientset()
	n := New(Config{Kube: kube, Log: slog.New(slog.DiscardHandler), Name: "n1", Addresses: []string{"192.0.2.1"}, Port: 10250, Pods: 5,
		Labels: map[string]string{"zone": "a"}, Taints: []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}, Version: "v1",
		Info: func(context.Context) (api.Info, error) {
			return api.Info{Version: "1", BootID: "b", Capacity: api.Capacity{CPU: 2500, Memory: api.GiB}, DefaultSize: api.Size{CPU: 500}, HostUsage: api.HostUsage{Disk: api.GiB}}, nil
		},
		Images: func(context.Context) ([]api.Image, error) {
			return []api.Image{{Digest: "sha256:a", Refs: []string{"r.test:5000/small:1"}, Size: 1},
				{Digest: "sha256:b", Refs: []string{"large:1", "large:2", "other", "other:1", "other:2"}, Size: 2}}, nil
		}})
	get := func() *corev1.Node {
		if err := n.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		node, err := kube.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	ready := func(node *corev1.Node) corev1.ConditionStatus {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status
			}
		}
		return ""
	}
	if err := n.Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	node := get()
	if node.Status.Capacity.Cpu().MilliValue() != 2500 || node.Status.Allocatable.Pods().Value() != 5 || len(node.Spec.Taints) != 1 ||
		node.Labels["zone"] != "a" || node.Status.Addresses[1].Address != "192.0.2.1" || ready(node) != corev1.ConditionTrue {
		t.Errorf("%+v", node)
	}
	if s := node.Status; s.Capacity.StorageEphemeral().Value() != 1<<30 || s.NodeInfo.BootID != "b" || s.NodeInfo.MachineID != "n1" || !*s.Features.SupplementalGroupsPolicy {
		t.Errorf("%+v", s)
	}
	var images []string
	for _, im := range node.Status.Images {
		images = append(images, strings.Join(im.Names, " "))
	}
	if !slices.Equal(images, []string{"large@sha256:b other@sha256:b large:1 large:2 other", "r.test:5000/small@sha256:a r.test:5000/small:1"}) {
		t.Errorf("images %q", images)
	}
	n.Connected(errors.New("gone"))
	if node = get(); ready(node) != corev1.ConditionFalse {
		t.Errorf("%+v", node.Status.Conditions)
	}
	n.Connected(nil)
	node.Spec.Unschedulable = true
	if _, err := kube.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if node = get(); ready(node) != corev1.ConditionTrue || !node.Spec.Unschedulable {
		t.Errorf("a cordon was lifted: %+v", node.Spec)
	}
	for range 2 {
		if err := n.renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
