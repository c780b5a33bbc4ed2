package pods

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis-kubelet/internal/podstatus"
	"cis/api"
)

// terminate stops the programs of a deleted pod, tells how they ended, and only then
// lets the API server forget the pod.
func (w *worker) terminate(ctx context.Context, pod *corev1.Pod, in api.Instance, has bool) error {
	if has && !in.Status.Phase.Finished() {
		w.stop.ask(ctx, w, in.ID, graceOf(pod.DeletionGracePeriodSeconds))
		return w.tell(ctx, pod)
	}
	if !has && w.end == nil {
		w.end = &podstatus.End{}
	}
	if err := w.tell(ctx, pod); err != nil {
		return err
	}
	err := w.k.Kube.CoreV1().Pods(w.namespace).Delete(ctx, w.name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(w.uid))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("confirm the pod's end: %w", err)
	}
	return nil
}

// evictedReason is that of pods that were ended for want of something on the node.
const evictedReason = "Evicted"

// eviction is why and how a pod has to go.
type eviction struct {
	message string
	grace   time.Duration
}

// Evict ends a pod, which then has failed for that reason. Its programs have the grace.
func (k *Controller) Evict(pod *corev1.Pod, message string, grace time.Duration) {
	k.mu.Lock()
	w := k.workers[pod.UID]
	k.mu.Unlock()
	if w == nil {
		return
	}
	k.Recorder.Event(pod, corev1.EventTypeWarning, evictedReason, message)
	w.evicted.Store(&eviction{message, grace})
	w.poke()
}

// evict stops the programs, and tells of the pod's end when they have ended.
func (w *worker) evict(ctx context.Context, pod *corev1.Pod, in api.Instance, has bool) error {
	if has && !in.Status.Phase.Finished() {
		w.stop.ask(ctx, w, in.ID, &w.evicted.Load().grace)
		return w.tell(ctx, pod)
	}
	w.end = &podstatus.End{Reason: evictedReason, Message: w.evicted.Load().message, Disruption: true}
	return w.tell(ctx, pod)
}

// clear removes what was made for a pod that is gone. One that was deleted by force
// still has its programs running: they get what grace the deletion left them.
func (w *worker) clear(ctx context.Context, in api.Instance, has bool) (done bool, err error) {
	if has {
		grace := w.seen.DeletionGracePeriodSeconds
		if grace == nil {
			grace = w.seen.Spec.TerminationGracePeriodSeconds
		}
		err := w.k.Cis.Remove(ctx, in.ID, true, graceOf(grace))
		if err != nil && api.CodeOf(err) != api.NotFound {
			return false, fmt.Errorf("remove instance %s: %w", in.ID, err)
		}
		w.k.instances.drop(w.uid, in.ID)
		w.secrets = append(w.secrets, secretsOf(in)...)
	}
	for _, name := range w.secrets {
		if err := w.k.removeSecret(ctx, name); err != nil {
			return false, fmt.Errorf("remove secret %s: %w", name, err)
		}
	}
	return true, nil
}

// secretsOf are those that were made for the instance.
func secretsOf(in api.Instance) (names []string) {
	for _, v := range in.Spec.Volumes {
		sources, _ := v.Secrets()
		for _, s := range sources {
			names = append(names, s.Name)
		}
	}
	return append(names, in.Spec.ImagePullSecrets...)
}

// stopping is a stop under way. A later one with less grace goes beside it.
type stopping struct {
	mu sync.Mutex
	by time.Time
}

// ask has the instance stopped, and does not wait for it: the watch tells of its end.
func (s *stopping) ask(ctx context.Context, w *worker, id string, grace *time.Duration) {
	by := time.Now()
	if grace != nil {
		by = by.Add(*grace)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.by.IsZero() && !by.Before(s.by.Add(-time.Second)) {
		return
	}
	s.by = by
	w.k.running.Go(func() {
		_, err := w.k.Cis.Stop(ctx, id, grace)
		if err == nil || api.CodeOf(err) == api.NotFound || ctx.Err() != nil {
			return
		}
		w.k.Log.Warn("stop an instance", "instance", id, "error", err)
		time.AfterFunc(time.Second, func() {
			s.mu.Lock()
			s.by = time.Time{}
			s.mu.Unlock()
			w.poke()
		})
	})
}
