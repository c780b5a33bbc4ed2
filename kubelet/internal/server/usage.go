package server

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cis/api"
)

func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	for _, pod := range s.Pods.Pods() {
		list.Items = append(list.Items, *pod)
	}
	writeJSON(w, list)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// usage is what the node and its pods use.
type usage struct {
	// host is what all that runs there uses; without the right to ask cis for that, it is
	// what the pods do.
	host api.HostUsage
	pods []podUsage
	// failed: something that runs could not be asked.
	failed bool
}

// podUsage is a pod that runs and what it uses.
type podUsage struct {
	pod      *corev1.Pod
	instance api.Instance
	stats    api.Stats
}

// parallel is how many instances are asked about at once.
const parallel = 8

// usage asks about the host and every pod that runs, in the order of their names. One that
// ends meanwhile is left out.
func (s *Server) usage(ctx context.Context) (out usage) {
	var mu sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, pod := range s.Pods.Pods() {
		in, ok := s.Pods.Instance(pod)
		if !ok || in.Status.Phase != api.PhaseRunning {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			st, err := s.Cis.Stats(ctx, in.ID)
			mu.Lock()
			defer mu.Unlock()
			switch code := api.CodeOf(err); {
			case err == nil:
				out.pods = append(out.pods, podUsage{pod, in, st})
			case code != api.NotFound && code != api.Conflict:
				out.failed = true
				s.Log.Warn("what a pod uses is not known", "namespace", pod.Namespace, "pod", pod.Name, "error", err)
			}
		})
	}
	info, err := s.Cis.Info(ctx)
	all.Wait()
	if err != nil {
		out.failed = true
		s.Log.Warn("what the node uses is not known", "error", err)
	}
	slices.SortFunc(out.pods, func(a, b podUsage) int {
		return cmp.Or(cmp.Compare(a.pod.Namespace, b.pod.Namespace), cmp.Compare(a.pod.Name, b.pod.Name))
	})
	if out.host = info.HostUsage; out.host.Time.IsZero() {
		out.host = sum(out.pods)
	}
	return out
}

// sum is what pods use, as if there were nothing else on the host.
func sum(pods []podUsage) (h api.HostUsage) {
	for _, p := range pods {
		h.Time = p.stats.Time
		h.CPUSeconds += p.stats.CPUSeconds
		h.Memory += p.stats.Memory
		h.Pids += p.stats.Pids
	}
	return h
}
