package pods

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis-kubelet/internal/podstatus"
	"cis/api"
)

func sized(cpu, memory string) corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	return corev1.ResourceRequirements{Limits: list, Requests: list}
}

// resize changes the pod as the API server does for the subresource.
func (s *scene) resize(version string, r corev1.ResourceRequirements) {
	s.Helper()
	pod := s.pod()
	pod.ResourceVersion = version
	pod.Generation++
	pod.Spec.Containers[0].Resources = r
	if _, err := s.kube.CoreV1().Pods("default").Update(s.Context(), pod, metav1.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
}

// resized is what the pod's status tells of a resize, in words.
func (s *scene) resized() string {
	pod := s.pod()
	if len(pod.Status.ContainerStatuses) == 0 {
		return "untold"
	}
	c := pod.Status.ContainerStatuses[0]
	words := []string{"none"}
	if c.Resources != nil {
		words[0] = c.Resources.Limits.Cpu().String()
		words = append(words, c.AllocatedResources.Cpu().String())
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodResizePending, corev1.PodResizeInProgress} {
		for _, c := range pod.Status.Conditions {
			if c.Type == kind {
				words = append(words, strings.TrimSpace(string(kind)+" "+c.Reason))
			}
		}
	}
	return strings.Join(words, ", ")
}

func (s *scene) becomes(want string) {
	s.Helper()
	s.eventually(want, func() bool { return s.resized() == want })
}

func force(in *api.Instance) { in.Status.Resources, in.Status.ResizeMessage = in.Spec.Resources(), "" }

func TestResize(t *testing.T) {
	pod := newPod()
	pod.Spec.Containers[0].Resources = sized("500m", "256Mi")
	pod.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{
		{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.NotRequired}, {ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
	c := newCis()
	c.refusals = []error{api.Errorf(api.Exhausted, "not enough cpu")}
	s := start(t, c, pod)
	s.eventually("an instance", c.has("create"))
	c.becomes(func(in *api.Instance) { runs(in); force(in) })
	s.becomes("500m, 500m")

	s.resize("50", sized("1", "256Mi"))
	s.becomes("500m, 500m, PodResizePending Deferred")
	s.becomes("500m, 1, PodResizeInProgress")
	c.becomes(func(in *api.Instance) { in.Status.ResizeMessage = "more is in use" })
	s.becomes("500m, 1, PodResizeInProgress Error")
	c.becomes(force)
	s.becomes("1, 1")

	c.mu.Lock()
	c.refusals = []error{api.FieldError("memory", "must be at most 256Mi")}
	c.mu.Unlock()
	s.resize("60", sized("1", "512Mi"))
	s.becomes("1, 1, PodResizePending Infeasible")
	s.resize("70", sized("1", "128Mi"))
	s.becomes("1, 1, PodResizeInProgress")
	c.becomes(force)
	s.becomes("1, 1")
	want := []string{"create", "resize 1 256Mi", "of a 1 256Mi false", "resize 1 256Mi", "of a 1 256Mi false",
		"resize 1 512Mi", "of a 1 512Mi true", "resize 1 128Mi", "of a 1 128Mi true"}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.calls, want) {
		t.Errorf("%q", c.calls)
	}
	var told []string
	for len(s.events.Events) > 0 {
		if words := strings.Fields(<-s.events.Events); strings.HasPrefix(words[1], "Resize") {
			told = append(told, words[1])
		}
	}
	if got := strings.Join(told, " "); got != "ResizeDeferred ResizeStarted ResizeError ResizeCompleted ResizeInfeasible ResizeStarted ResizeCompleted" {
		t.Errorf("events %s", got)
	}
}

// TestResizeOutlivesARestart: one that was accepted is not asked for again, and neither is one
// that cannot be.
func TestResizeOutlivesARestart(t *testing.T) {
	for kind, reason := range map[corev1.PodConditionType]string{corev1.PodResizeInProgress: "", corev1.PodResizePending: corev1.PodReasonInfeasible} {
		pod := newPod()
		pod.Generation = 2
		pod.Spec.Containers[0].Resources = sized("1", "256Mi")
		pod.Status.Conditions = []corev1.PodCondition{{Type: kind, Status: corev1.ConditionTrue, Reason: reason, ObservedGeneration: 2}}
		w := newWorker(&Controller{}, pod)
		in := api.Instance{Spec: api.InstanceSpec{CPU: 1000}, Status: api.InstanceStatus{Phase: api.PhaseRunning, Resources: api.ResourceList{CPU: 500}}}
		if err := w.resize(t.Context(), pod, in); err != nil { // there is no cis to ask
			t.Error(err)
		}
		if (w.resizing.InProgress != nil) != (reason == "") || (w.resizing.Pending != nil) == (reason == "") {
			t.Errorf("%s: %+v", kind, w.resizing)
		}
		in.Status.Stopping = true
		if err := w.resize(t.Context(), pod, in); err != nil || w.resizing.Resize != (podstatus.Resize{}) {
			t.Errorf("%s: at its end %+v, %v", kind, w.resizing, err)
		}
	}
}

func TestResizeBeyondTheNode(t *testing.T) {
	pod := newPod()
	s := start(t, newCis(), pod)
	s.eventually("an instance", s.cis.has("create"))
	pod.Generation = 2
	pod.Spec.Containers[0].Resources = sized("3", "256Mi")
	k := &Controller{Config: Config{Recorder: s.events, Host: func() (api.Size, api.CPU, api.Bytes) { return api.Size{}, 2000, api.GiB }}}
	w := newWorker(k, pod)
	in := api.Instance{Spec: api.InstanceSpec{CPU: 500, Memory: 256 * api.MiB}, Status: api.InstanceStatus{Phase: api.PhaseRunning}}
	if err := w.resize(t.Context(), pod, in); err != nil || w.resizing.Pending == nil || w.resizing.Pending.Reason != corev1.PodReasonInfeasible {
		t.Errorf("%+v %v", w.resizing, err)
	}
}
