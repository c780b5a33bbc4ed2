package translate

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// Resize is what the instance of a pod lacks of what the pod asks for now, and whether that is
// anything. Told are the container statuses by which containers that restart for a resize
// are known. Of the input it wants the pod and the default size.
func Resize(in Input, spec *api.InstanceSpec, told []corev1.ContainerStatus) (r api.InstanceResize, some bool, err error) {
	t := &translation{Input: in}
	var want api.InstanceSpec
	t.size(&want)
	if err := t.problems.err(); err != nil {
		return r, false, err
	}
	if want.CPU != 0 && want.Resources() != spec.Resources() {
		r.CPU, r.Memory, some = want.CPU, want.Memory, true
	}
	for _, c := range slices.Concat(in.Pod.Spec.InitContainers, in.Pod.Spec.Containers) {
		change := api.ContainerResize{Name: c.Name, Restart: restarts(&c, told)}
		if limits := limitsOf(&c); lacks(spec, c.Name, limits) {
			change.Resources.Limits = limits
		}
		if change.Restart || change.Resources != (api.Resources{}) {
			r.Containers, some = append(r.Containers, change), true
		}
	}
	return r, some, nil
}

func limitsOf(c *corev1.Container) api.ResourceList {
	return api.ResourceList{CPU: cpuOf(c.Resources.Limits), Memory: memoryOf(c.Resources.Limits)}
}

// lacks tells whether a container of the instance has other limits. Those that a pod does not
// have any more stay.
func lacks(spec *api.InstanceSpec, name string, want api.ResourceList) bool {
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if c.Name == name {
			have := c.Resources.Limits
			return want.CPU != 0 && want.CPU != have.CPU || want.Memory != 0 && want.Memory != have.Memory
		}
	}
	return false
}

// restarts tells whether a container that runs is to begin anew with what was changed, by its
// resizePolicy.
func restarts(c *corev1.Container, told []corev1.ContainerStatus) bool {
	i := slices.IndexFunc(told, func(s corev1.ContainerStatus) bool { return s.Name == c.Name })
	if i < 0 || told[i].Resources == nil || told[i].State.Running == nil {
		return false
	}
	for _, p := range c.ResizePolicy {
		if p.RestartPolicy == corev1.RestartContainer && differs(p.ResourceName, c.Resources, *told[i].Resources) {
			return true
		}
	}
	return false
}

func differs(name corev1.ResourceName, a, b corev1.ResourceRequirements) bool {
	limit, other := a.Limits[name], b.Limits[name]
	request, another := a.Requests[name], b.Requests[name]
	return limit.Cmp(other) != 0 || request.Cmp(another) != 0
}
