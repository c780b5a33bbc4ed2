// Package podstatus says how a pod is, from how its instance is: phase, conditions and
// container states as a kubelet gives them. It asks nobody and changes nothing.
package podstatus

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// Input is what is known of a pod.
type Input struct {
	Pod *corev1.Pod
	// Instance that runs it; nil: none yet, or none any more.
	Instance *api.Instance
	// Trouble is why there is no instance yet; the zero value: it is on its way.
	Trouble Trouble
	// NotAdded are the ephemeral containers that were refused, and why.
	NotAdded map[string]string
	// Resize of the pod that is not over; the zero value: there is none.
	Resize Resize
	// End is how the pod ended beside its instance; nil: it has not.
	End *End
	// HostIPs are the node's addresses.
	HostIPs []string
	Now     metav1.Time
}

// Trouble is what the containers of a pod without an instance wait for.
type Trouble struct{ Reason, Message string }

// Resize is where changes of the pod's resources have come to. Both may be there: what was
// asked for since is then not accepted yet.
type Resize struct {
	// Pending is not accepted: Deferred or Infeasible. InProgress is, and not in force yet.
	Pending, InProgress *ResizeState
}

// ResizeState says what is in the way of the resize that the pod's generation asks for.
type ResizeState struct {
	Reason, Message string
	Generation      int64
}

// End of a pod that its instance does not tell of: it was never made, or was lost.
type End struct {
	Reason, Message string
	// Disruption: the node ended it, for no fault of the pod's own.
	Disruption bool
}

// Of returns the status that the pod should have. What others wrote into the present
// one stays.
func Of(in Input) corev1.PodStatus {
	status := *in.Pod.Status.DeepCopy()
	status.ObservedGeneration = in.Pod.Generation
	if status.StartTime == nil {
		status.StartTime = &in.Now
	}
	status.HostIP, status.HostIPs = "", nil
	for _, ip := range in.HostIPs {
		status.HostIPs = append(status.HostIPs, corev1.HostIP{IP: ip})
	}
	if len(in.HostIPs) > 0 {
		status.HostIP = in.HostIPs[0]
	}
	in.addresses(&status)
	status.InitContainerStatuses = in.containers(in.Pod.Spec.InitContainers, status.InitContainerStatuses, true)
	status.ContainerStatuses = in.containers(in.Pod.Spec.Containers, status.ContainerStatuses, false)
	status.EphemeralContainerStatuses = in.ephemeral(status.EphemeralContainerStatuses)
	status.Phase, status.Reason, status.Message = in.phase(&status)
	status.Conditions = in.conditions(&status)
	return status
}

// OnTheWay tells whether a status says no more than that the pod will run.
func OnTheWay(s corev1.PodStatus) bool {
	says := func(c corev1.ContainerStatus) bool {
		return c.State.Waiting == nil || c.State.Waiting.Reason != api.ReasonContainerCreating && c.State.Waiting.Reason != api.ReasonPodInitializing
	}
	return s.Phase == corev1.PodPending && !slices.ContainsFunc(s.InitContainerStatuses, says) && !slices.ContainsFunc(s.ContainerStatuses, says)
}

// addresses stay when the instance is gone.
func (in *Input) addresses(status *corev1.PodStatus) {
	if in.Instance == nil || in.Instance.Status.Address == "" {
		return
	}
	status.PodIP = in.Instance.Status.Address
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	if six := in.Instance.Status.Address6; six != "" {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: six})
	}
}

// ephemeral containers are never ready. kubectl debug waits to hear of the end of one that
// was refused.
func (in *Input) ephemeral(old []corev1.ContainerStatus) []corev1.ContainerStatus {
	out := in.containers(translate.Common(in.Pod), old, false)
	for i := range out {
		s := &out[i]
		s.Ready, s.Started = false, nil
		why, refused := in.NotAdded[s.Name]
		switch {
		case refused:
			s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "Refused", Message: in.message(why)}}
		case s.State.Waiting != nil && s.State.Waiting.Reason == api.ReasonPodInitializing:
			s.State.Waiting.Reason = api.ReasonContainerCreating // it waits for no other
		}
	}
	return out
}

// phase follows the kubelet: an instance that has ended is an end, and so is what ended
// a pod beside it.
func (in *Input) phase(status *corev1.PodStatus) (phase corev1.PodPhase, reason, message string) {
	if old := in.Pod.Status; ended(old.Phase) {
		return old.Phase, old.Reason, old.Message
	}
	if in.End != nil {
		return corev1.PodFailed, in.End.Reason, in.End.Message
	}
	if in.Instance == nil {
		return corev1.PodPending, "", ""
	}
	switch s := in.Instance.Status; {
	case s.Phase.Finished() && s.Reason == api.ReasonDeadlineExceeded:
		return corev1.PodFailed, s.Reason, "Pod was active on the node longer than the specified deadline"
	case s.Phase == api.PhaseSucceeded:
		return corev1.PodSucceeded, "", ""
	case s.Phase == api.PhaseFailed && s.Reason == api.ReasonStopped:
		return in.stopped(status), "", ""
	case s.Phase == api.PhaseFailed:
		return corev1.PodFailed, failure(s.Reason), failureMessage(s)
	case in.started(status):
		return corev1.PodRunning, "", ""
	}
	return corev1.PodPending, "", ""
}

// stopped pods are as their programs ended.
func (in *Input) stopped(status *corev1.PodStatus) corev1.PodPhase {
	for _, s := range status.ContainerStatuses {
		if s.State.Terminated == nil || s.State.Terminated.ExitCode != 0 {
			return corev1.PodFailed
		}
	}
	return corev1.PodSucceeded
}

// failure is the pod's reason. That a program failed is told by its container alone.
func failure(reason string) string {
	switch reason {
	case api.ReasonError, api.ReasonCompleted, api.ReasonOOMKilled, api.ReasonNotStarted:
		return ""
	}
	return reason
}

func failureMessage(s api.InstanceStatus) string {
	if failure(s.Reason) == "" {
		return ""
	}
	return s.Message
}

// started tells whether any main container runs, or has run and will again.
func (in *Input) started(status *corev1.PodStatus) bool {
	return slices.ContainsFunc(status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
	})
}

func ended(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }
