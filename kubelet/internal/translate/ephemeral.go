package translate

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// Ephemeral translates the n-th ephemeral container of a pod that has an instance. Of
// Input.Material it wants what EphemeralNeeds names. Errors are those of Pod.
func Ephemeral(in Input, n int) (api.EphemeralContainer, error) {
	t := &translation{Input: in, readOnly: map[string]bool{}}
	t.volumes() // to know which are read-only
	t.problems = problems{}
	c := &in.Pod.Spec.EphemeralContainers[n]
	field := fmt.Sprintf("spec.ephemeralContainers[%d]", n)
	t.problems.walk(field, reflect.ValueOf(*c))
	out := api.EphemeralContainer{Container: t.container(common(c), field), TargetContainerName: c.TargetContainerName}
	return out, t.problems.err()
}

// EphemeralNeeds are those of Ephemeral.
func EphemeralNeeds(pod *corev1.Pod, n int) Needs {
	needs := newNeeds()
	needs.container(common(&pod.Spec.EphemeralContainers[n]))
	return needs
}

// Common are the ephemeral containers of a pod as those that they have all fields of.
func Common(pod *corev1.Pod) (containers []corev1.Container) {
	for i := range pod.Spec.EphemeralContainers {
		containers = append(containers, *common(&pod.Spec.EphemeralContainers[i]))
	}
	return containers
}

func common(c *corev1.EphemeralContainer) *corev1.Container {
	return (*corev1.Container)(&c.EphemeralContainerCommon)
}
