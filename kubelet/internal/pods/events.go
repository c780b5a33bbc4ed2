package pods

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// forwardEvents makes events of the pods out of those of their instances. What was told
// before the start is not told again.
func (k *Controller) forwardEvents(ctx context.Context) {
	began := time.Now()
	var last int64
	for ctx.Err() == nil {
		err := k.Cis.WatchEvents(ctx, api.EventOptions{Since: last}, func(ev api.Event) error {
			last = max(last, ev.ID)
			if ev.LastSeen.After(began) {
				k.forward(ev)
			}
			return nil
		})
		if ctx.Err() == nil {
			k.Log.Warn("events are not watched", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (k *Controller) forward(ev api.Event) {
	w := k.workerOf(ev.Instance)
	if w == nil {
		return
	}
	pod, err := k.pods.Pods(w.namespace).Get(w.name)
	if err != nil || pod.UID != w.uid {
		return
	}
	about := &corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion, FieldPath: fieldPath(pod, ev.Container)}
	k.Recorder.Event(about, string(ev.Type), ev.Reason, ev.Message)
}

func (k *Controller) workerOf(instance string) *worker {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.workers {
		if w.instance == instance {
			return w
		}
	}
	return nil
}

// fieldPath names the container as kubectl describe shows it.
func fieldPath(pod *corev1.Pod, container string) string {
	for _, c := range pod.Spec.InitContainers {
		if c.Name == container {
			return fmt.Sprintf("spec.initContainers{%s}", container)
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if c.Name == container {
			return fmt.Sprintf("spec.ephemeralContainers{%s}", container)
		}
	}
	if container == "" {
		return ""
	}
	return fmt.Sprintf("spec.containers{%s}", container)
}
