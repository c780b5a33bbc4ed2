package translate

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"cis/api"
)

// size is the instance's: what its containers may use together. A container counts with
// its limit, else its request, else the default. A pod that says nothing is left to cis,
// which may have a sandbox of the default size ready.
func (t *translation) size(s *api.InstanceSpec) {
	spec := &t.Pod.Spec
	most, sum, some := t.initSize(spec.InitContainers)
	for _, c := range spec.Containers {
		some = some || hasSize(c.Resources)
		sum = sum.plus(t.sizeOf(c.Resources))
	}
	sum = sum.most(most)
	if r := spec.Resources; r != nil {
		some, sum = true, t.podSize(*r, sum)
	}
	if some {
		s.CPU = max(roundUp(sum.cpu, api.CPUStep), api.MinCPU)
		s.Memory = max(roundUp(sum.memory, api.MemoryStep), api.MinMemory)
	}
	t.resources(spec.InitContainers, "spec.initContainers", s)
	t.resources(spec.Containers, "spec.containers", s)
}

// initSize is what init containers need, each beside the sidecars before it, and what
// stays with the sidecars; an init container that says nothing needs nothing of its own.
func (t *translation) initSize(containers []corev1.Container) (most, stays amount, some bool) {
	for _, c := range containers {
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		together := stays
		if sidecar || hasSize(c.Resources) {
			together = stays.plus(t.sizeOf(c.Resources))
		}
		some, most = some || hasSize(c.Resources), most.most(together)
		if sidecar {
			stays = together
		}
	}
	return most, stays, some
}

// amount of what an instance is sized by.
type amount struct {
	cpu    api.CPU
	memory api.Bytes
}

func (a amount) plus(b amount) amount { return amount{a.cpu + b.cpu, a.memory + b.memory} }
func (a amount) most(b amount) amount { return amount{max(a.cpu, b.cpu), max(a.memory, b.memory)} }

func hasSize(r corev1.ResourceRequirements) bool {
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		if !list.Cpu().IsZero() || !list.Memory().IsZero() {
			return true
		}
	}
	return false
}

func (t *translation) sizeOf(r corev1.ResourceRequirements) amount {
	return amount{
		cpu:    first(cpuOf(r.Limits), cpuOf(r.Requests), t.DefaultSize.CPU),
		memory: first(memoryOf(r.Limits), memoryOf(r.Requests), t.DefaultSize.Memory),
	}
}

// podSize is for resources of the pod as a whole.
func (t *translation) podSize(r corev1.ResourceRequirements, sum amount) amount {
	return amount{
		cpu:    first(cpuOf(r.Limits), cpuOf(r.Requests), sum.cpu),
		memory: first(memoryOf(r.Limits), memoryOf(r.Requests), sum.memory),
	}
}

func first[T api.CPU | api.Bytes](amounts ...T) T {
	for _, a := range amounts {
		if a != 0 {
			return a
		}
	}
	return 0
}

func cpuOf(list corev1.ResourceList) api.CPU      { return api.CPU(list.Cpu().MilliValue()) }
func memoryOf(list corev1.ResourceList) api.Bytes { return api.Bytes(list.Memory().Value()) }

func roundUp[T api.CPU | api.Bytes](a, step T) T { return (a + step - 1) / step * step }

// resources refuses what an instance does not have, and takes the bound of storage.
func (t *translation) resources(containers []corev1.Container, field string, s *api.InstanceSpec) {
	for i, c := range containers {
		for kind, list := range map[string]corev1.ResourceList{"limits": c.Resources.Limits, "requests": c.Resources.Requests} {
			for name, amount := range list {
				if why := refusedResource(name); why != "" && !amount.IsZero() {
					t.problems.refuse(fmt.Sprintf("%s[%d].resources.%s[%s]", field, i, kind, name), "%s", why)
				}
			}
		}
		if storage := c.Resources.Limits.StorageEphemeral(); !storage.IsZero() {
			s.EphemeralStorage = max(s.EphemeralStorage, bytes(storage))
		}
	}
}

func bytes(q *resource.Quantity) api.Bytes { return api.Bytes(q.Value()) }

func refusedResource(name corev1.ResourceName) string {
	switch {
	case name == corev1.ResourceCPU, name == corev1.ResourceMemory, name == corev1.ResourceEphemeralStorage:
		return ""
	case strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
		return "an instance has no huge pages"
	}
	return "an instance has cpu, memory and ephemeral-storage only"
}
