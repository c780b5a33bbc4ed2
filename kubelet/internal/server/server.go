// Package server is what the API server asks of a node over HTTPS: logs, exec, attach,
// port-forward, and what pods use. Who asks is checked against the cluster.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"cis-kubelet/internal/translate"
	"cis/api"
)

// Pods finds those of the node.
type Pods interface {
	Find(namespace, name string) (*corev1.Pod, api.Instance, error)
	Pods() []*corev1.Pod
	Instance(pod *corev1.Pod) (api.Instance, bool)
}

// Cis is what is used of the client of /v1.
type Cis interface {
	Logs(ctx context.Context, ref string, opts api.LogOptions, fn func(api.LogEntry) error) error
	Exec(ctx context.Context, ref string, req api.ExecRequest, s api.Streams) (int, error)
	Attach(ctx context.Context, ref, container string, replay bool, s api.Streams) (int, error)
	PortForward(ctx context.Context, ref string, port uint16, conn io.ReadWriter) error
	Stats(ctx context.Context, ref string) (api.Stats, error)
	Info(ctx context.Context) (api.Info, error)
}

// Server answers for one node.
type Server struct {
	Pods Pods
	Cis  Cis
	Node string
	Auth Auth
	Log  *slog.Logger

	host hostRate
}

// Auth decides who may ask for what.
type Auth interface {
	// Allow fails with the HTTP status that the caller is to get.
	Allow(r *http.Request, subresource string) (status int, err error)
}

// Handler of all that is served.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, subresource string, serve func(http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if status, err := s.Auth.Allow(r, subresource); err != nil {
				http.Error(w, err.Error(), status)
				return
			}
			serve(w, r)
		})
	}
	handle("/healthz", "proxy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	handle("GET /pods", "proxy", s.pods)
	handle("GET /containerLogs/{namespace}/{pod}/{container}", "proxy", s.logs)
	handle("/exec/{namespace}/{pod}/{container}", "proxy", s.exec)
	handle("/exec/{namespace}/{pod}/{uid}/{container}", "proxy", s.exec)
	handle("/attach/{namespace}/{pod}/{container}", "proxy", s.attach)
	handle("/attach/{namespace}/{pod}/{uid}/{container}", "proxy", s.attach)
	handle("/portForward/{namespace}/{pod}", "proxy", s.portForward)
	handle("/portForward/{namespace}/{pod}/{uid}", "proxy", s.portForward)
	handle("GET /stats/summary", "stats", s.summary)
	handle("GET /metrics/resource", "metrics", s.resourceMetrics)
	return mux
}

// streamIdle is how long a stream without traffic is kept.
const streamIdle = 4 * time.Hour

// find answers by itself when there is no such pod or container.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (api.Instance, bool) {
	pod, in, err := s.Pods.Find(r.PathValue("namespace"), r.PathValue("pod"))
	if pod == nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return in, false
	}
	name := r.PathValue("container")
	if name != "" && !hasContainer(pod, name) {
		http.Error(w, fmt.Sprintf("container %q not found in pod %q", name, pod.Name), http.StatusNotFound)
		return in, false
	}
	if uid := r.PathValue("uid"); uid != "" && uid != string(pod.UID) {
		http.Error(w, "pod not found", http.StatusNotFound)
		return in, false
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return in, false
	}
	return in, true
}

func hasContainer(pod *corev1.Pod, name string) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers, translate.Common(pod)} {
		for _, c := range list {
			if c.Name == name {
				return true
			}
		}
	}
	return false
}

// statusOf maps the codes of cis once.
func statusOf(err error) int {
	switch api.CodeOf(err) {
	case api.Invalid, api.Conflict:
		return http.StatusBadRequest
	case api.NotFound:
		return http.StatusNotFound
	case api.Unavailable, api.Exhausted:
		return http.StatusServiceUnavailable
	case api.Forbidden, api.Unauthenticated:
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

// errEnough ends a stream that has given all that was asked for.
var errEnough = errors.New("enough")
