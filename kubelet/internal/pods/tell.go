package pods

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"cis-kubelet/internal/podstatus"
)

// tell brings the API server's idea of the pod in line, if it is not. Only what differs
// is written, to this pod and no later one of its name.
func (w *worker) tell(ctx context.Context, pod *corev1.Pod) error {
	status := podstatus.Of(podstatus.Input{
		Pod: pod, Instance: w.known(), Trouble: w.trouble, NotAdded: w.notAdded, Resize: w.resizing.Resize, End: w.end, HostIPs: w.k.HostIPs, Now: metav1.Now(),
	})
	if w.held = w.begins(pod) && podstatus.OnTheWay(status); w.held {
		return nil // until there is better to tell, or w.beginning() comes
	}
	patch, err := statusPatch(pod, status)
	if err != nil || patch == nil {
		return err
	}
	told, err := w.k.Kube.CoreV1().Pods(w.namespace).Patch(ctx, w.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone, and the watch will say so
	}
	if err != nil {
		return fmt.Errorf("write the pod's status: %w", err)
	}
	w.seen = told
	return nil
}

// beginTime is how long a pod may take to run before its status says that it is on its way. Most
// need less, so that the API server is told once of them and not four times.
const beginTime = time.Second

// begins: the pod came a moment ago, and nothing was told of it yet.
func (w *worker) begins(pod *corev1.Pod) bool {
	return pod.Status.StartTime == nil && time.Since(w.began) < beginTime
}

// beginning comes when a status was held back for so long.
func (w *worker) beginning() <-chan time.Time {
	if !w.held {
		return nil
	}
	return time.After(time.Until(w.began.Add(beginTime)))
}

// statusPatch is nil when nothing differs.
func statusPatch(pod *corev1.Pod, status corev1.PodStatus) ([]byte, error) {
	before, err := json.Marshal(corev1.Pod{Status: pod.Status})
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(corev1.Pod{Status: status})
	if err != nil {
		return nil, err
	}
	if string(before) == string(after) {
		return nil, nil
	}
	after, err = json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: pod.UID}, Status: status})
	if err != nil {
		return nil, err
	}
	return strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
}
