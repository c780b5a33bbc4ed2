package server

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A family is all lines of a metric, as Prometheus reads them.
type family struct {
	name, kind, help string
	lines            strings.Builder
}

// add takes a value; at is zero for one of the moment of the answer.
func (f *family) add(labels string, value float64, at time.Time) {
	fmt.Fprintf(&f.lines, "%s%s %s", f.name, labels, strconv.FormatFloat(value, 'f', -1, 64))
	if !at.IsZero() {
		fmt.Fprintf(&f.lines, " %d", at.UnixMilli())
	}
	f.lines.WriteByte('\n')
}

func (f *family) write(w io.Writer) {
	fmt.Fprintf(w, "# HELP %s [STABLE] %s\n# TYPE %s %s\n%s", f.name, f.help, f.name, f.kind, f.lines.String())
}

// resourceMetrics are those of a kubelet that metrics-server reads.
func (s *Server) resourceMetrics(w http.ResponseWriter, r *http.Request) {
	u := s.usage(r.Context())
	containerCPU := &family{name: "container_cpu_usage_seconds_total", kind: "counter", help: "Cumulative cpu time consumed by the container in core-seconds"}
	containerMemory := &family{name: "container_memory_working_set_bytes", kind: "gauge", help: "Current working set of the container in bytes"}
	containerStart := &family{name: "container_start_time_seconds", kind: "gauge", help: "Start time of the container since unix epoch in seconds"}
	nodeCPU := &family{name: "node_cpu_usage_seconds_total", kind: "counter", help: "Cumulative cpu time consumed by the node in core-seconds"}
	nodeMemory := &family{name: "node_memory_working_set_bytes", kind: "gauge", help: "Current working set of the node in bytes"}
	podCPU := &family{name: "pod_cpu_usage_seconds_total", kind: "counter", help: "Cumulative cpu time consumed by the pod in core-seconds"}
	podMemory := &family{name: "pod_memory_working_set_bytes", kind: "gauge", help: "Current working set of the pod in bytes"}
	scrapeError := &family{name: "resource_scrape_error", kind: "gauge", help: "1 if there was an error while getting container metrics, 0 otherwise"}

	for _, p := range u.pods {
		pod := fmt.Sprintf("namespace=%q,pod=%q}", p.pod.Namespace, p.pod.Name)
		for _, c := range p.stats.Containers {
			labels := fmt.Sprintf("{container=%q,", c.Name) + pod
			containerCPU.add(labels, c.CPUSeconds, p.stats.Time)
			containerMemory.add(labels, float64(c.Memory), p.stats.Time)
			containerStart.add(labels, float64(c.StartedAt.UnixMilli())/1000, time.Time{})
		}
		podCPU.add("{"+pod, p.stats.CPUSeconds, p.stats.Time)
		podMemory.add("{"+pod, float64(p.stats.Memory), p.stats.Time)
	}
	if !u.host.Time.IsZero() {
		nodeCPU.add("", u.host.CPUSeconds, u.host.Time)
		nodeMemory.add("", float64(u.host.Memory-u.host.MemoryAvailable), u.host.Time)
	}
	failed := 0.0
	if u.failed {
		failed = 1
	}
	scrapeError.add("", failed, time.Time{})

	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, f := range []*family{containerCPU, containerMemory, containerStart, nodeCPU, nodeMemory, podCPU, podMemory, scrapeError} {
		f.write(w)
	}
}
