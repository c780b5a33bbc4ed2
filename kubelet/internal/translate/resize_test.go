package translate

import (
	"errors"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"cis/api"
)

func TestResize(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	limits := func(cpu api.CPU, memory api.Bytes) api.Resources {
		return api.Resources{Limits: api.ResourceList{CPU: cpu, Memory: memory}}
	}
	restarted := []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer}}
	for name, test := range map[string]struct {
		change func(*corev1.PodSpec)
		want   api.InstanceResize
	}{
		"nothing": {func(*corev1.PodSpec) {}, api.InstanceResize{}},
		"a limit": {func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits = list("1", "256Mi") },
			api.InstanceResize{CPU: 1500, Memory: 320 * api.MiB, Containers: []api.ContainerResize{{Name: "a", Resources: limits(1000, 256*api.MiB)}}}},
		"of a sidecar": {func(s *corev1.PodSpec) { s.InitContainers[0].Resources.Limits = list("500m", "128Mi") },
			api.InstanceResize{CPU: 1000, Memory: 384 * api.MiB, Containers: []api.ContainerResize{{Name: "side", Resources: limits(500, 128*api.MiB)}}}},
		"a request alone": {func(s *corev1.PodSpec) { s.Containers[0].Resources.Requests = list("100m", "32Mi") }, api.InstanceResize{}},
		"a request, and it restarts": {func(s *corev1.PodSpec) {
			s.Containers[0].Resources.Requests, s.Containers[0].ResizePolicy = list("200m", "32Mi"), restarted
		}, api.InstanceResize{Containers: []api.ContainerResize{{Name: "a", Restart: true}}}},
		"what needs no restart": {func(s *corev1.PodSpec) {
			s.Containers[0].Resources.Limits, s.Containers[0].ResizePolicy = list("600m", "256Mi"), restarted
		}, api.InstanceResize{CPU: 1100, Memory: 320 * api.MiB, Containers: []api.ContainerResize{{Name: "a", Resources: limits(600, 256*api.MiB)}}}},
		"a limit less": {func(s *corev1.PodSpec) { s.Containers[0].Resources.Limits = nil },
			api.InstanceResize{CPU: 700, Memory: 128 * api.MiB}},
	} {
		has := corev1.ResourceRequirements{Limits: list("500m", "256Mi"), Requests: list("200m", "64Mi")}
		pod := &corev1.Pod{Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "side", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Resources: corev1.ResourceRequirements{Limits: list("500m", "64Mi")}}},
			Containers:     []corev1.Container{{Name: "a", Resources: has}},
		}}
		spec := &api.InstanceSpec{CPU: 1000, Memory: 320 * api.MiB,
			InitContainers: []api.Container{{Name: "side", Resources: limits(500, 64*api.MiB)}}, Containers: []api.Container{{Name: "a", Resources: limits(500, 256*api.MiB)}}}
		told := []corev1.ContainerStatus{{Name: "a", Resources: &has, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		test.change(&pod.Spec)
		got, some, err := Resize(Input{Pod: pod}, spec, told)
		if err != nil || !reflect.DeepEqual(got, test.want) || some == reflect.DeepEqual(got, api.InstanceResize{}) {
			t.Errorf("%s: %+v %t, %v, want %+v", name, got, some, err, test.want)
		}
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
		Limits: corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}}}}}}
	var refusal *Refusal
	if _, _, err := Resize(Input{Pod: pod}, &api.InstanceSpec{}, nil); !errors.As(err, &refusal) {
		t.Errorf("a GPU: %v", err)
	}
}
