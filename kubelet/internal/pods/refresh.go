package pods

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// refreshing keeps the files of a running pod's volumes as what they show is now.
type refreshing struct {
	// stale: something that the files show may have changed.
	stale atomic.Bool
	// followed: what the volumes show is watched.
	followed bool
	// meta is what of the pod itself the files may show.
	meta [sha256.Size]byte
	// kept are the sums of the secrets as cis has them from us.
	kept map[string][sha256.Size]byte
}

// objectChanged has a pod's worker look at its files again.
func (k *Controller) objectChanged(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.workers[uid]; w != nil {
		w.files.stale.Store(true)
		w.poke()
	}
}

// refresh brings the files up to date, if something may have changed.
func (w *worker) refresh(ctx context.Context, pod *corev1.Pod, in api.Instance) error {
	if in.Status.Phase.Finished() || len(pod.Spec.Volumes) == 0 {
		return nil
	}
	if !w.files.followed { // another cis-kubelet made the instance
		w.follow(ctx, pod)
		w.files.stale.Store(true)
	}
	if meta := metaOf(pod); meta != w.files.meta {
		w.files.meta = meta
		w.files.stale.Store(true)
	}
	due := w.tokens.due()
	if !w.files.stale.Load() && (due.IsZero() || time.Now().Before(due)) {
		return nil
	}
	if !w.retry.due() {
		return errNotDue
	}
	w.files.stale.Store(false)
	err := w.showNow(ctx, pod, in)
	var missing *translate.Missing
	if errors.As(err, &missing) { // it comes with a change
		w.event(pod, corev1.EventTypeWarning, "FailedMount", fmt.Sprintf("the files of volume %q stay as they were: %s", missing.Volume, missing.Message))
		return nil
	}
	if err != nil {
		w.files.stale.Store(true)
	}
	return err
}

// follow sees to it that a change of what the files show from now on makes them stale.
func (w *worker) follow(ctx context.Context, pod *corev1.Pod) {
	if w.files.followed {
		return
	}
	w.files.followed, w.files.meta = true, metaOf(pod)
	w.k.watches.follow(ctx, pod)
}

func metaOf(pod *corev1.Pod) [sha256.Size]byte { return sum([]any{pod.Labels, pod.Annotations}) }

// showNow keeps the secrets as they are to be now. What an older cis-kubelet made in
// another way stays as it is.
func (w *worker) showNow(ctx context.Context, pod *corev1.Pod, in api.Instance) error {
	input, err := w.input(ctx, pod, translate.VolumeNeeds(pod))
	if err != nil {
		return err
	}
	volumes, secrets, err := translate.Files(input)
	if err != nil {
		return err
	}
	shown := map[string]bool{}
	for i := range volumes {
		sources, _ := volumes[i].Secrets()
		if !shows(in, volumes[i].Name, sources) {
			continue
		}
		for _, s := range sources {
			shown[s.Name] = true
		}
	}
	for _, s := range secrets {
		if shown[s.Name] {
			if err := w.keep(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// shows tells whether a volume of the instance has these sources.
func shows(in api.Instance, volume string, sources []api.SecretProjection) bool {
	return slices.ContainsFunc(in.Spec.Volumes, func(v api.Volume) bool {
		have, _ := v.Secrets()
		return v.Name == volume && sum(have) == sum(sources)
	})
}

// keep has cis keep a secret, if it has another from us.
func (w *worker) keep(ctx context.Context, s api.Secret) error {
	now := sum(s)
	if w.files.kept[s.Name] == now {
		return nil
	}
	if _, err := w.k.Cis.PutSecret(ctx, s); err != nil {
		return fmt.Errorf("keep secret %s: %w", s.Name, err)
	}
	if w.files.kept == nil {
		w.files.kept = map[string][sha256.Size]byte{}
	}
	w.files.kept[s.Name] = now
	return nil
}

// sum is the same for what is the same.
func sum(v any) [sha256.Size]byte {
	text, _ := json.Marshal(v) // it fails for what has no JSON at all
	return sha256.Sum256(text)
}
