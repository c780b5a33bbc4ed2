package pods

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"cis-kubelet/internal/podstatus"
	"cis-kubelet/internal/translate"
	"cis/api"
)

// The events of a resize, with a kubelet's names.
const (
	resizeStarted    = "ResizeStarted"
	resizeCompleted  = "ResizeCompleted"
	resizeDeferred   = "ResizeDeferred"
	resizeInfeasible = "ResizeInfeasible"
	resizeError      = "ResizeError"
)

// resizing is what becomes of changes of a pod's resources. The conditions that are told of
// it are all that has to outlive a restart.
type resizing struct {
	podstatus.Resize
	// accepted is the generation for which cis has a size, or needs none.
	accepted int64
	// retry is when what is deferred is asked for again; nothing else waits for that.
	retry retry
}

// again comes when what is deferred is due.
func (r *resizing) again() <-chan time.Time {
	if r.Pending == nil || r.Pending.Reason != corev1.PodReasonDeferred {
		return nil
	}
	return r.retry.timer()
}

func newResizing(pod *corev1.Pod) (r resizing) {
	for _, c := range pod.Status.Conditions {
		state := &podstatus.ResizeState{Reason: c.Reason, Message: c.Message, Generation: c.ObservedGeneration}
		switch c.Type {
		case corev1.PodResizePending:
			r.Pending = state
		case corev1.PodResizeInProgress:
			r.InProgress, r.accepted = state, c.ObservedGeneration
		}
	}
	return r
}

// resize has the instance follow the pod's resources, and notes how far it has come.
func (w *worker) resize(ctx context.Context, pod *corev1.Pod, in api.Instance) error {
	if in.Status.Phase.Finished() || in.Status.Stopping {
		w.resizing.Resize = podstatus.Resize{}
		return nil
	}
	w.lookAtResize(pod, in)
	p := w.resizing.Pending
	if pod.Generation <= 1 || w.resizing.accepted == pod.Generation ||
		p != nil && p.Reason == corev1.PodReasonInfeasible && p.Generation == pod.Generation {
		return nil
	}
	size, cpu, memory := w.k.Host()
	r, some, err := translate.Resize(translate.Input{Pod: pod, DefaultSize: size}, &in.Spec, slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses))
	switch {
	case err != nil:
		w.resizePending(pod, corev1.PodReasonInfeasible, err.Error())
		return nil
	case !some:
		w.resizing.Pending, w.resizing.accepted = nil, pod.Generation
		return nil
	case cpu != 0 && r.CPU > cpu || memory != 0 && r.Memory > memory:
		w.resizePending(pod, corev1.PodReasonInfeasible,
			fmt.Sprintf("the node has %s cores and %s of memory, and %s and %s are asked for", cpu, memory, r.CPU, r.Memory))
		return nil
	case p != nil && p.Generation == pod.Generation && !w.resizing.retry.due():
		return nil
	case !w.retry.due():
		return errNotDue
	}
	return w.askResize(ctx, pod, in, r)
}

// askResize asks cis. What the host or the quota has no room for is asked for again.
func (w *worker) askResize(ctx context.Context, pod *corev1.Pod, in api.Instance, r api.InstanceResize) error {
	changed, err := w.k.Cis.Resize(ctx, in.ID, r)
	switch api.CodeOf(err) {
	case "":
		w.k.instances.put(changed)
		w.resizing = resizing{Resize: podstatus.Resize{InProgress: &podstatus.ResizeState{Generation: pod.Generation}}, accepted: pod.Generation}
		w.event(pod, corev1.EventTypeNormal, resizeStarted, "Pod resize started: "+resourcesText(pod, pod.Generation, ""))
		return nil
	case api.Invalid, api.Forbidden:
		w.resizePending(pod, corev1.PodReasonInfeasible, err.Error())
		return nil
	case api.Exhausted:
		w.resizePending(pod, corev1.PodReasonDeferred, err.Error())
		w.resizing.retry.after(err)
		return nil
	case api.Conflict, api.NotFound:
		return nil // it ends: its next state tells
	}
	return fmt.Errorf("resize: %w", err)
}

// resizePending notes why a resize is not accepted, and tells it once.
func (w *worker) resizePending(pod *corev1.Pod, reason, message string) {
	before := w.resizing.Pending
	w.resizing.Pending = &podstatus.ResizeState{Reason: reason, Message: message, Generation: pod.Generation}
	if before != nil && before.Reason == reason && before.Generation == pod.Generation {
		return
	}
	kind := map[string]string{corev1.PodReasonInfeasible: resizeInfeasible, corev1.PodReasonDeferred: resizeDeferred}[reason]
	w.event(pod, corev1.EventTypeWarning, kind, fmt.Sprintf("Pod resize %s: %s", reason, resourcesText(pod, pod.Generation, message)))
}

// lookAtResize notes what has become of the resize that was accepted.
func (w *worker) lookAtResize(pod *corev1.Pod, in api.Instance) {
	p := w.resizing.InProgress
	if p == nil {
		return
	}
	if in.Status.Resources == in.Spec.Resources() {
		w.resizing.InProgress = nil
		w.event(pod, corev1.EventTypeNormal, resizeCompleted, "Pod resize completed: "+resourcesText(pod, p.Generation, ""))
		return
	}
	next := &podstatus.ResizeState{Message: in.Status.ResizeMessage, Generation: p.Generation}
	if next.Message != "" {
		next.Reason = corev1.PodReasonError
	}
	if *next != *p && next.Message != "" {
		w.event(pod, corev1.EventTypeWarning, resizeError, "Pod resize error: "+resourcesText(pod, p.Generation, next.Message))
	}
	w.resizing.InProgress = next
}

// resourcesText is what a kubelet puts into the events of a resize.
func resourcesText(pod *corev1.Pod, generation int64, failure string) string {
	type container struct {
		Name      string                      `json:"name"`
		Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	}
	of := func(list []corev1.Container) (out []container) {
		for _, c := range list {
			out = append(out, container{c.Name, c.Resources})
		}
		return out
	}
	text, err := json.Marshal(struct {
		InitContainers []container `json:"initContainers,omitempty"`
		Containers     []container `json:"containers,omitempty"`
		Generation     int64       `json:"generation"`
		Error          string      `json:"error,omitempty"`
	}{of(pod.Spec.InitContainers), of(pod.Spec.Containers), generation, failure})
	if err != nil {
		return failure
	}
	return string(text)
}
