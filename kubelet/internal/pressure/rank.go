package pressure

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"cis/api"
)

// Candidate is a pod that runs and what it uses.
type Candidate struct {
	Pod   *corev1.Pod
	Stats api.Stats
}

// systemCritical is the least priority of pods that are not evicted.
const systemCritical = 2_000_000_000

// Rank orders those that may be evicted: who uses more than it asked for, then who is less
// important, then who is further beyond what it asked for.
func Rank(s Shortage, all []Candidate) []Candidate {
	left := slices.DeleteFunc(slices.Clone(all), func(c Candidate) bool { return priority(c.Pod) >= systemCritical })
	slices.SortStableFunc(left, func(a, b Candidate) int {
		beyondA, beyondB := beyond(s, a), beyond(s, b)
		return cmp.Or(cmp.Compare(greedy(beyondB), greedy(beyondA)), cmp.Compare(priority(a.Pod), priority(b.Pod)), cmp.Compare(beyondB, beyondA))
	})
	return left
}

func priority(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

func greedy(beyond int64) int {
	if beyond > 0 {
		return 1
	}
	return 0
}

// beyond is by how much a pod uses more than it asked for. Nobody asks for processes.
func beyond(s Shortage, c Candidate) int64 {
	switch s.signal.condition {
	case corev1.NodeMemoryPressure:
		return int64(c.Stats.Memory) - asked(c.Pod, corev1.ResourceMemory)
	case corev1.NodeDiskPressure:
		var disk api.Bytes
		for _, of := range c.Stats.Containers {
			disk += of.Disk
		}
		return int64(disk) - asked(c.Pod, corev1.ResourceEphemeralStorage)
	}
	return c.Stats.Pids
}

// asked is a pod's request, for the pod as a whole or of its containers.
func asked(pod *corev1.Pod, name corev1.ResourceName) (sum int64) {
	if r := pod.Spec.Resources; r != nil {
		if q, ok := r.Requests[name]; ok {
			return q.Value()
		}
	}
	for _, c := range pod.Spec.Containers {
		sum += c.Resources.Requests.Name(name, resource.BinarySI).Value()
	}
	return sum
}

// Message is what an evicted pod says, in a kubelet's words.
func Message(s Shortage, c Candidate) string {
	var text strings.Builder
	fmt.Fprintf(&text, "The node was low on resource: %s. Threshold quantity: %s, available: %s. ",
		s.signal.resource, s.show(s.wanted), s.show(s.actual))
	for _, of := range c.Stats.Containers {
		for _, spec := range slices.Concat(c.Pod.Spec.Containers, c.Pod.Spec.InitContainers) {
			used, ok := use(s, of)
			if request := spec.Resources.Requests[s.signal.resource]; spec.Name == of.Name && ok && used > request.Value() {
				fmt.Fprintf(&text, "Container %s was using %s, request is %s, has larger consumption of %s. ",
					of.Name, s.show(used), request.String(), s.signal.resource)
			}
		}
	}
	return text.String()
}

// use is what a container takes of it, where that is known.
func use(s Shortage, c api.ContainerStats) (used int64, known bool) {
	switch s.signal.resource {
	case corev1.ResourceMemory:
		return int64(c.Memory), true
	case corev1.ResourceEphemeralStorage:
		return int64(c.Disk), true
	}
	return 0, false
}

func (s Shortage) show(n int64) string { return resource.NewQuantity(n, s.signal.format).String() }
