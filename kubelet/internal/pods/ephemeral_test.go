package pods

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEphemeralContainers: each is added once, and one that is refused keeps nothing else back.
func TestEphemeralContainers(t *testing.T) {
	c := newCis()
	s := start(t, c)
	s.create(newPod())
	s.eventually("an instance", c.has("create"))
	c.becomes(runs)
	s.phase(corev1.PodRunning)
	pod := s.pod()
	pod.ResourceVersion = "50"
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{
		{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "bad", Image: "i", SecurityContext: &corev1.SecurityContext{Privileged: new(true)}}},
		{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d", Image: "i", Stdin: true}, TargetContainerName: "a"},
	}
	if _, err := s.kube.CoreV1().Pods("default").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("the statuses", func() bool {
		list := s.pod().Status.EphemeralContainerStatuses
		return len(list) == 2 && list[0].State.Terminated != nil && list[0].State.Terminated.Reason == "Refused" &&
			list[1].State.Running != nil && !list[1].Ready && list[1].Started == nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if added := slices.DeleteFunc(slices.Clone(c.calls), func(call string) bool { return call != "add d to a" }); len(added) != 1 {
		t.Errorf("%q", c.calls)
	}
}
