package pods

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// told is how often the API server was told of the pod.
func (s *scene) told() (n int) {
	for _, a := range s.kube.Actions() {
		if a.Matches("patch", "pods/status") {
			n++
		}
	}
	return n
}

// TestTellOnce: of a pod that runs at once no more is told than that.
func TestTellOnce(t *testing.T) {
	s := start(t, newCis())
	s.create(newPod())
	s.eventually("an instance", s.cis.has("create"))
	s.cis.becomes(func(in *api.Instance) { in.Status.Address = "10.0.0.9" })
	s.cis.becomes(runs)
	s.phase(corev1.PodRunning)
	if n := s.told(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestTellOnTheWay: of one that takes its time, that it is on its way.
func TestTellOnTheWay(t *testing.T) {
	s := start(t, newCis())
	s.create(newPod())
	s.eventually("ContainerCreating", func() bool {
		c := s.pod().Status.ContainerStatuses
		return len(c) == 1 && c[0].State.Waiting != nil && c[0].State.Waiting.Reason == api.ReasonContainerCreating
	})
	s.cis.becomes(func(in *api.Instance) { in.Status.Address = "10.0.0.9" })
	s.eventually("the address", func() bool { return s.pod().Status.PodIP == "10.0.0.9" })
	if n := s.told(); n != 2 {
		t.Errorf("told %d times", n)
	}
}
