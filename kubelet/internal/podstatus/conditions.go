package podstatus

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// conditions are ours beside those that others wrote.
func (in *Input) conditions(status *corev1.PodStatus) []corev1.PodCondition {
	ready := in.containersReady(status)
	ours := []corev1.PodCondition{
		condition(corev1.PodReadyToStartContainers, in.sandboxRuns(), "", ""),
		in.initialized(status),
		in.ready(status, ready),
		ready,
		condition(corev1.PodScheduled, true, "", ""),
	}
	if in.End != nil && in.End.Disruption {
		disrupted := condition(corev1.DisruptionTarget, true, "", "")
		disrupted.Reason, disrupted.Message = corev1.PodReasonTerminationByKubelet, in.End.Message
		ours = append(ours, disrupted)
	}
	out := status.Conditions
	for _, c := range ours {
		c.ObservedGeneration = in.Pod.Generation
		out = in.put(out, c)
	}
	return in.resizing(out)
}

// resizing tells of resizes that are not over, as a kubelet does.
func (in *Input) resizing(list []corev1.PodCondition) []corev1.PodCondition {
	list = in.resizeState(list, corev1.PodResizePending, in.Resize.Pending)
	return in.resizeState(list, corev1.PodResizeInProgress, in.Resize.InProgress)
}

func (in *Input) resizeState(list []corev1.PodCondition, kind corev1.PodConditionType, s *ResizeState) []corev1.PodCondition {
	if s == nil {
		return slices.DeleteFunc(list, func(c corev1.PodCondition) bool { return c.Type == kind })
	}
	return in.put(list, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, Reason: s.Reason, Message: s.Message, ObservedGeneration: s.Generation})
}

// put keeps the time of the last transition.
func (in *Input) put(list []corev1.PodCondition, c corev1.PodCondition) []corev1.PodCondition {
	for i := range list {
		if list[i].Type != c.Type {
			continue
		}
		c.LastProbeTime, c.LastTransitionTime = list[i].LastProbeTime, list[i].LastTransitionTime
		if list[i].Status != c.Status || c.LastTransitionTime.IsZero() {
			c.LastTransitionTime = in.Now
		}
		list[i] = c
		return list
	}
	c.LastTransitionTime = in.Now
	return append(list, c)
}

func condition(kind corev1.PodConditionType, holds bool, reason, message string) corev1.PodCondition {
	c := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue}
	if !holds {
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, reason, message
	}
	return c
}

func (in *Input) sandboxRuns() bool {
	return in.Instance != nil && in.Instance.Status.StartedAt != nil && !in.Instance.Status.Phase.Finished()
}

func (in *Input) initialized(status *corev1.PodStatus) corev1.PodCondition {
	if status.Phase == corev1.PodSucceeded {
		c := condition(corev1.PodInitialized, true, "", "")
		c.Reason = "PodCompleted"
		return c
	}
	if in.started(status) { // sidecars may be restarted since
		return condition(corev1.PodInitialized, true, "", "")
	}
	var waiting []string
	for i := range in.Pod.Spec.InitContainers {
		c := &in.Pod.Spec.InitContainers[i]
		s := named(status.InitContainerStatuses, c.Name)
		if sidecar(c) && !*s.Started || !sidecar(c) && !succeeded(s.State) {
			waiting = append(waiting, c.Name)
		}
	}
	return condition(corev1.PodInitialized, len(waiting) == 0, "ContainersNotInitialized",
		fmt.Sprintf("containers with incomplete status: %v", waiting))
}

func (in *Input) containersReady(status *corev1.PodStatus) corev1.PodCondition {
	switch status.Phase {
	case corev1.PodSucceeded:
		return condition(corev1.ContainersReady, false, "PodCompleted", "")
	case corev1.PodFailed:
		return condition(corev1.ContainersReady, false, "PodFailed", "")
	}
	var unready []string
	for i := range in.Pod.Spec.InitContainers {
		c := &in.Pod.Spec.InitContainers[i]
		if sidecar(c) && !named(status.InitContainerStatuses, c.Name).Ready {
			unready = append(unready, c.Name)
		}
	}
	for _, s := range status.ContainerStatuses {
		if !s.Ready {
			unready = append(unready, s.Name)
		}
	}
	return condition(corev1.ContainersReady, len(unready) == 0, "ContainersNotReady",
		fmt.Sprintf("containers with unready status: %v", unready))
}

// ready also asks for what the pod's readiness gates name.
func (in *Input) ready(status *corev1.PodStatus, containers corev1.PodCondition) corev1.PodCondition {
	if containers.Status != corev1.ConditionTrue {
		return condition(corev1.PodReady, false, containers.Reason, containers.Message)
	}
	var closed []string
	for _, gate := range in.Pod.Spec.ReadinessGates {
		switch c := find(status.Conditions, gate.ConditionType); {
		case c == nil:
			closed = append(closed, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case c.Status != corev1.ConditionTrue:
			closed = append(closed, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, c.Status))
		}
	}
	return condition(corev1.PodReady, len(closed) == 0, "ReadinessGatesNotReady", strings.Join(closed, ", "))
}

func find(list []corev1.PodCondition, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}
