package podstatus

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis/api"
)

var (
	began = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	now   = metav1.NewTime(began.Add(time.Hour))
)

func running(name string, ready bool) api.ContainerStatus {
	return api.ContainerStatus{Name: name, Image: "r.test:5000/i:1", ImageID: "sha256:ab", Ready: ready, Started: true, RestartCount: 2,
		State: api.ContainerState{Running: &api.StateRunning{StartedAt: began}}}
}

func ending(name string, code int, reason string) api.ContainerStatus {
	return api.ContainerStatus{Name: name, State: api.ContainerState{Terminated: &api.StateTerminated{
		ExitCode: code, Reason: reason, StartedAt: began, FinishedAt: began.Add(time.Second)}}}
}

func waits(name, reason string) api.ContainerStatus {
	return api.ContainerStatus{Name: name, State: api.ContainerState{Waiting: &api.StateWaiting{Reason: reason}}}
}

func instance(phase api.Phase, reason string, containers ...api.ContainerStatus) *api.Instance {
	in := &api.Instance{ID: "i-1", Status: api.InstanceStatus{Phase: phase, Reason: reason, Address: "10.0.0.9", ContainerStatuses: containers}}
	if phase != api.PhasePending {
		in.Status.StartedAt = &began
	}
	return in
}

func input(in *api.Instance) Input {
	return Input{Instance: in, HostIPs: []string{"192.0.2.1"}, Now: now, Pod: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Generation: 3},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "a", Image: "i"}}},
	}}
}

// describe is what is compared: phase, container states and conditions in words.
func describe(s corev1.PodStatus) string {
	words := []string{string(s.Phase)}
	if s.Reason != "" {
		words = append(words, s.Reason)
	}
	for _, c := range append(s.InitContainerStatuses, s.ContainerStatuses...) {
		words = append(words, c.Name+"="+state(c.State))
	}
	for _, c := range s.Conditions {
		if c.Status == corev1.ConditionTrue {
			words = append(words, string(c.Type))
		} else if c.Reason != "" {
			words = append(words, "!"+string(c.Type)+":"+c.Reason)
		}
	}
	return strings.Join(words, " ")
}

func state(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Terminated != nil:
		return s.Terminated.Reason
	}
	return s.Waiting.Reason
}

func TestPhases(t *testing.T) {
	for name, test := range map[string]struct {
		in     *api.Instance
		change func(*Input)
		want   string
	}{
		"nothing yet": {nil, nil,
			"Pending a=ContainerCreating Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"refused": {nil, func(in *Input) { in.Trouble = Trouble{Reason: "CreateContainerConfigError"} },
			"Pending a=CreateContainerConfigError Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"the image does not come": {instance(api.PhasePending, "", waits("a", "ImagePullBackOff")), nil,
			"Pending a=ImagePullBackOff Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"it runs": {instance(api.PhaseRunning, "", running("a", true)), nil,
			"Running a=running PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled"},
		"it is not ready": {instance(api.PhaseRunning, "", running("a", false)), nil,
			"Running a=running PodReadyToStartContainers Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"a gate is closed": {instance(api.PhaseRunning, "", running("a", true)), func(in *Input) {
			in.Pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x/y"}}
		}, "Running a=running PodReadyToStartContainers Initialized !Ready:ReadinessGatesNotReady ContainersReady PodScheduled"},
		"it crashes again and again": {instance(api.PhaseRunning, "", api.ContainerStatus{Name: "a", RestartCount: 1,
			State:     api.ContainerState{Waiting: &api.StateWaiting{Reason: "CrashLoopBackOff"}},
			LastState: ending("a", 1, "Error").State}), nil,
			"Running a=CrashLoopBackOff PodReadyToStartContainers Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"it succeeded": {instance(api.PhaseSucceeded, "", ending("a", 0, "Completed")), nil,
			"Succeeded a=Completed Initialized !Ready:PodCompleted !ContainersReady:PodCompleted PodScheduled"},
		"it failed": {instance(api.PhaseFailed, "Error", ending("a", 3, "Error")), nil,
			"Failed a=Error Initialized !Ready:PodFailed !ContainersReady:PodFailed PodScheduled"},
		"it took too long": {instance(api.PhaseFailed, "DeadlineExceeded", ending("a", 137, "DeadlineExceeded")), nil,
			"Failed DeadlineExceeded a=Error Initialized !Ready:PodFailed !ContainersReady:PodFailed PodScheduled"},
		"it was stopped and ended well": {instance(api.PhaseFailed, "Stopped", ending("a", 0, "Stopped")), nil,
			"Succeeded a=Completed Initialized !Ready:PodCompleted !ContainersReady:PodCompleted PodScheduled"},
		"its init container runs": {instance(api.PhaseRunning, "", waits("a", "PodInitializing")), func(in *Input) {
			in.Pod.Spec.InitContainers = []corev1.Container{{Name: "init"}}
			in.Instance.Status.InitContainerStatuses = []api.ContainerStatus{running("init", false)}
		}, "Pending init=running a=PodInitializing PodReadyToStartContainers !Initialized:ContainersNotInitialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"its init container failed": {instance(api.PhaseFailed, "Error", api.ContainerStatus{Name: "a", State: api.ContainerState{
			Terminated: &api.StateTerminated{ExitCode: 128, Reason: "NotStarted"}}}), func(in *Input) {
			in.Pod.Spec.InitContainers = []corev1.Container{{Name: "init"}}
			in.Instance.Status.InitContainerStatuses = []api.ContainerStatus{ending("init", 1, "Error")}
		}, "Failed init=Error a=PodInitializing !Initialized:ContainersNotInitialized !Ready:PodFailed !ContainersReady:PodFailed PodScheduled"},
		"its sidecar starts": {instance(api.PhaseRunning, "", waits("a", "PodInitializing")), func(in *Input) {
			withSidecar(in, running("side", false))
			in.Instance.Status.InitContainerStatuses[0].Started = false
		}, "Pending side=running a=PodInitializing PodReadyToStartContainers !Initialized:ContainersNotInitialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"its sidecar has started": {instance(api.PhaseRunning, "", waits("a", "PodInitializing")), func(in *Input) {
			withSidecar(in, running("side", true))
		}, "Pending side=running a=PodInitializing PodReadyToStartContainers Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"its sidecar runs": {instance(api.PhaseRunning, "", running("a", true)), func(in *Input) {
			withSidecar(in, running("side", true))
		}, "Running side=running a=running PodReadyToStartContainers Initialized Ready ContainersReady PodScheduled"},
		"its sidecar is not ready": {instance(api.PhaseRunning, "", running("a", true)), func(in *Input) {
			withSidecar(in, running("side", false))
		}, "Running side=running a=running PodReadyToStartContainers Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"its sidecar is restarted": {instance(api.PhaseRunning, "", running("a", true)), func(in *Input) {
			withSidecar(in, waits("side", "CrashLoopBackOff"))
		}, "Running side=CrashLoopBackOff a=running PodReadyToStartContainers Initialized !Ready:ContainersNotReady !ContainersReady:ContainersNotReady PodScheduled"},
		"its sidecar was killed at the end": {instance(api.PhaseSucceeded, "", ending("a", 0, "Completed")), func(in *Input) {
			withSidecar(in, ending("side", 137, "Error"))
		}, "Succeeded side=Error a=Completed Initialized !Ready:PodCompleted !ContainersReady:PodCompleted PodScheduled"},
		"its instance is gone": {nil, func(in *Input) {
			in.Pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
			in.End = &End{Reason: "InstanceRemoved"}
		}, "Failed InstanceRemoved a=ContainerStatusUnknown Initialized !Ready:PodFailed !ContainersReady:PodFailed PodScheduled"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(test.in)
			if test.change != nil {
				test.change(&in)
			}
			if got := describe(Of(in)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func withSidecar(in *Input, s api.ContainerStatus) {
	in.Pod.Spec.InitContainers = []corev1.Container{{Name: "side", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
	in.Instance.Status.InitContainerStatuses = []api.ContainerStatus{s}
}

func TestDetails(t *testing.T) {
	in := input(instance(api.PhaseRunning, "", running("a", true)))
	old := metav1.NewTime(began)
	in.Pod.Status = corev1.PodStatus{QOSClass: corev1.PodQOSBurstable, StartTime: &old, Conditions: []corev1.PodCondition{
		{Type: "x/y", Status: corev1.ConditionTrue}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: old}}}
	s := Of(in)
	c := s.ContainerStatuses[0]
	if s.HostIP != "192.0.2.1" || s.PodIP != "10.0.0.9" || s.PodIPs[0].IP != "10.0.0.9" || s.ObservedGeneration != 3 ||
		s.QOSClass != corev1.PodQOSBurstable || !s.StartTime.Equal(&old) {
		t.Errorf("%+v", s)
	}
	if c.ContainerID != "cis://i-1/a/2" || c.ImageID != "r.test:5000/i@sha256:ab" || c.RestartCount != 2 || !*c.Started || c.Image != "i" {
		t.Errorf("%+v", c)
	}
	if s.Conditions[0].Type != "x/y" || !s.Conditions[1].LastTransitionTime.Equal(&old) || s.Conditions[1].ObservedGeneration != 3 {
		t.Errorf("%+v", s.Conditions)
	}
	again := in
	again.Pod = in.Pod.DeepCopy()
	again.Pod.Status = s
	again.Now = metav1.NewTime(now.Add(time.Hour))
	if twice := Of(again); describe(twice) != describe(s) || !twice.Conditions[2].LastTransitionTime.Equal(&s.Conditions[2].LastTransitionTime) {
		t.Errorf("the same state changed the status: %+v", twice)
	}
}

func TestUserAndMounts(t *testing.T) {
	a := running("a", true)
	a.User = &api.ContainerUser{UID: 5, GID: 6, SupplementalGroups: []int64{7}}
	b := waits("b", api.ReasonContainerCreating)
	b.User = a.User
	in := input(instance(api.PhaseRunning, "", a, b))
	in.Pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v", ReadOnly: true}, {Name: "w", MountPath: "/w"}}
	in.Pod.Spec.Containers = append(in.Pod.Spec.Containers, corev1.Container{Name: "b"})
	got := Of(in).ContainerStatuses
	if u := got[0].User; u == nil || u.Linux.UID != 5 || u.Linux.GID != 6 || u.Linux.SupplementalGroups[0] != 7 || got[1].User != nil {
		t.Errorf("users %+v, %+v", u, got[1].User)
	}
	m := got[0].VolumeMounts
	if len(m) != 2 || m[0].Name != "v" || m[0].MountPath != "/v" || m[0].RecursiveReadOnly == nil || *m[0].RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled || m[1].ReadOnly || m[1].RecursiveReadOnly != nil {
		t.Errorf("mounts %+v", m)
	}
}
