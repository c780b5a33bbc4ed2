package pods

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"cis-kubelet/internal/podstatus"
	"cis-kubelet/internal/translate"
	"cis/api"
)

// worker takes one pod from where it is to its end.
type worker struct {
	k               *Controller
	namespace, name string
	uid             types.UID
	// instance is the name that the pod's instance has or will have.
	instance string
	wake     chan struct{}
	// began is when the pod was first seen.
	began time.Time
	// evicted is set once the pod has to go.
	evicted atomic.Pointer[eviction]

	// Only run uses these. seen is the pod as it was last known.
	seen *corev1.Pod
	// held: its status was not told, see begins.
	held bool
	// made: the pod had an instance already.
	made bool
	// refused is the generation of the pod that was refused.
	refused int64
	trouble podstatus.Trouble
	end     *podstatus.End
	secrets []string
	tokens  tokens
	files   refreshing
	retry   retry
	stop    stopping
	// resizing is where a change of its resources is.
	resizing resizing
	// notAdded are the ephemeral containers that were refused, and why.
	notAdded map[string]string
}

func newWorker(k *Controller, pod *corev1.Pod) *worker {
	return &worker{k: k, namespace: pod.Namespace, name: pod.Name, uid: pod.UID, instance: translate.InstanceName(pod),
		wake: make(chan struct{}, 1), began: time.Now(), seen: pod, made: hadInstance(pod), refused: -1, tokens: tokens{}, notAdded: map[string]string{},
		resizing: newResizing(pod)}
}

// hadInstance tells it from what the API server knows.
func hadInstance(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range list {
			if s.ContainerID != "" {
				return true
			}
		}
	}
	return false
}

// poke has the worker look again.
func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run steps until the pod and all that was made for it are gone.
func (w *worker) run(ctx context.Context) {
	defer w.k.watches.forget(w.uid)
	for {
		done, err := w.step(ctx)
		if done || ctx.Err() != nil {
			return
		}
		w.retry.after(err)
		if err != nil && !errors.Is(err, errNotDue) {
			w.k.Log.Warn("a pod's step failed", "pod", w.namespace+"/"+w.name, "error", err, "again in", w.retry.wait)
		}
		select {
		case <-w.wake:
		case <-w.retry.timer():
		case <-w.resizing.again():
			w.resizing.retry.at = time.Time{} // once, whatever the step does
		case <-w.renewal():
		case <-w.beginning():
		case <-ctx.Done():
			return
		}
	}
}

// renewal comes when a token of a running pod is to be renewed.
func (w *worker) renewal() <-chan time.Time {
	at := w.tokens.due()
	if in := w.known(); at.IsZero() || in == nil || in.Status.Phase.Finished() {
		return nil
	}
	return time.After(max(time.Until(at), time.Second))
}

// retry is the wait after a failure; the zero value waits for news alone.
type retry struct {
	wait time.Duration
	at   time.Time
}

func (r *retry) after(err error) {
	if err == nil {
		*r = retry{}
		return
	}
	if time.Now().Before(r.at) {
		return // news came before it was due
	}
	r.wait = min(max(2*r.wait, 500*time.Millisecond), time.Minute)
	r.at = time.Now().Add(r.wait)
}

func (r *retry) due() bool { return !time.Now().Before(r.at) }

func (r *retry) timer() <-chan time.Time {
	if r.at.IsZero() {
		return nil
	}
	return time.After(time.Until(r.at))
}

// step does what is next. It is done when nothing of the pod is left.
func (w *worker) step(ctx context.Context) (done bool, err error) {
	w.held = false
	pod, exists := w.pod()
	in, has := w.k.instances.get(w.uid)
	w.made = w.made || has
	switch {
	case !exists:
		return w.clear(ctx, in, has)
	case pod.DeletionTimestamp != nil:
		return false, w.terminate(ctx, pod, in, has)
	case over(pod):
		if has && !in.Status.Phase.Finished() {
			w.stop.ask(ctx, w, in.ID, graceOf(pod.Spec.TerminationGracePeriodSeconds))
		}
		return false, w.tell(ctx, pod)
	case w.evicted.Load() != nil:
		return false, w.evict(ctx, pod, in, has)
	case !has && w.made && w.end == nil:
		w.end = &podstatus.End{Reason: "InstanceRemoved", Message: "the pod's instance was removed"}
	case !has && w.end == nil:
		err = w.create(ctx, pod)
	case has:
		err = errors.Join(w.refresh(ctx, pod, in), w.addContainers(ctx, pod, in), w.resize(ctx, pod, in))
	}
	if told := w.tell(ctx, pod); err == nil {
		err = told
	}
	return false, err
}

// pod is as the API server has it now, the later of what it answered and what it told.
func (w *worker) pod() (*corev1.Pod, bool) {
	pod, err := w.k.pods.Pods(w.namespace).Get(w.name)
	if err != nil || pod.UID != w.uid {
		return w.seen, false
	}
	if version(pod) > version(w.seen) {
		w.seen = pod
	}
	return w.seen, true
}

func version(pod *corev1.Pod) uint64 {
	n, _ := strconv.ParseUint(pod.ResourceVersion, 10, 64)
	return n
}

func over(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// known is the pod's instance for its status.
func (w *worker) known() *api.Instance {
	if in, ok := w.k.instances.get(w.uid); ok {
		return &in
	}
	return nil
}

func graceOf(seconds *int64) *time.Duration {
	if seconds == nil {
		return nil
	}
	return new(time.Duration(min(max(*seconds, 0), 3600)) * time.Second)
}
