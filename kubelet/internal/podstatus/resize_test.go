package podstatus

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"cis/api"
)

// TestResize: a pod has the resources that were told last until a resize is over, and is
// promised those that were accepted.
func TestResize(t *testing.T) {
	of := func(cpu string) corev1.ResourceRequirements {
		list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		return corev1.ResourceRequirements{Limits: list, Requests: list}
	}
	state := &ResizeState{Reason: corev1.PodReasonDeferred, Message: "later", Generation: 3}
	for name, test := range map[string]struct {
		resize       Resize
		has, promise string
		conditions   string
	}{
		"none":        {Resize{}, "2", "2", ""},
		"pending":     {Resize{Pending: state}, "1", "1", "PodResizePending True Deferred later 3;"},
		"in progress": {Resize{InProgress: &ResizeState{Generation: 2}}, "1", "2", "PodResizeInProgress True   2;"},
		"both": {Resize{Pending: state, InProgress: &ResizeState{Generation: 2}}, "1", "1",
			"PodResizePending True Deferred later 3;PodResizeInProgress True   2;"},
	} {
		in := input(instance(api.PhaseRunning, "", running("a", true)))
		in.Pod.Spec.Containers[0].Resources = of("1")
		in.Pod.Status = Of(in)
		in.Pod.Status.Conditions = append(in.Pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodResizeInProgress, Status: corev1.ConditionTrue, ObservedGeneration: 1})
		in.Pod.Spec.Containers[0].Resources = of("2")
		in.Resize = test.resize
		status := Of(in)
		c := status.ContainerStatuses[0]
		if c.Resources.Limits.Cpu().String() != test.has || c.AllocatedResources.Cpu().String() != test.promise {
			t.Errorf("%s: it has %v and is promised %v", name, c.Resources, c.AllocatedResources)
		}
		got := ""
		for _, kind := range []corev1.PodConditionType{corev1.PodResizePending, corev1.PodResizeInProgress} {
			if c := find(status.Conditions, kind); c != nil {
				got += fmt.Sprintln(c.Type, c.Status, c.Reason, c.Message, c.ObservedGeneration)
				got = got[:len(got)-1] + ";"
			}
		}
		if got != test.conditions {
			t.Errorf("%s: %q", name, got)
		}
	}
}
