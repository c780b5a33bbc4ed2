package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

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

// podUsage is a pod that runs and what it uses. cis counts by instance: where a pod has
// several containers the first stands for all.
type podUsage struct {
	pod      *corev1.Pod
	instance api.Instance
	stats    api.Stats
}

// parallel is how many instances are asked about at once.
const parallel = 8

// usage asks about every pod that runs. One that ends meanwhile is left out.
func (s *Server) usage(ctx context.Context) (out []podUsage) {
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
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, podUsage{pod, in, st})
		})
	}
	all.Wait()
	return out
}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	out := stats.Summary{Node: stats.NodeStats{NodeName: s.Node, CPU: &stats.CPUStats{}, Memory: &stats.MemoryStats{}}}
	var nanos, cores, memory uint64
	for _, u := range s.usage(r.Context()) {
		cpu, mem := u.cpu(), u.memory()
		nanos, cores, memory = nanos+*cpu.UsageCoreNanoSeconds, cores+*cpu.UsageNanoCores, memory+*mem.WorkingSetBytes
		began := metav1.NewTime(u.instance.CreatedAt)
		out.Pods = append(out.Pods, stats.PodStats{
			PodRef: stats.PodReference{Name: u.pod.Name, Namespace: u.pod.Namespace, UID: string(u.pod.UID)}, StartTime: began,
			CPU: cpu, Memory: mem, Network: u.network(),
			Containers: []stats.ContainerStats{{Name: u.pod.Spec.Containers[0].Name, StartTime: began, CPU: cpu, Memory: mem}},
		})
		out.Node.CPU.Time, out.Node.Memory.Time = cpu.Time, mem.Time
	}
	out.Node.CPU.UsageCoreNanoSeconds, out.Node.CPU.UsageNanoCores = &nanos, &cores
	out.Node.Memory.WorkingSetBytes, out.Node.Memory.UsageBytes = &memory, &memory
	writeJSON(w, out)
}

func (u podUsage) cpu() *stats.CPUStats {
	return &stats.CPUStats{Time: metav1.NewTime(u.stats.Time),
		UsageNanoCores: new(uint64(u.stats.CPU * 1e9)), UsageCoreNanoSeconds: new(uint64(u.stats.CPUSeconds * 1e9))}
}

func (u podUsage) memory() *stats.MemoryStats {
	used := uint64(u.stats.Memory)
	return &stats.MemoryStats{Time: metav1.NewTime(u.stats.Time), UsageBytes: &used, WorkingSetBytes: &used}
}

func (u podUsage) network() *stats.NetworkStats {
	rx, tx := uint64(u.stats.RxBytes), uint64(u.stats.TxBytes)
	return &stats.NetworkStats{Time: metav1.NewTime(u.stats.Time),
		InterfaceStats: stats.InterfaceStats{Name: "eth0", RxBytes: &rx, TxBytes: &tx}}
}

// resourceMetrics has the form that metrics-server reads.
func (s *Server) resourceMetrics(w http.ResponseWriter, r *http.Request) {
	all := s.usage(r.Context())
	var cpu float64
	var memory api.Bytes
	for _, u := range all {
		cpu, memory = cpu+u.stats.CPUSeconds, memory+u.stats.Memory
	}
	var b strings.Builder
	family := func(name, kind string, lines func()) {
		fmt.Fprintf(&b, "# TYPE %s %s\n", name, kind)
		lines()
	}
	each := func(name string, container bool, value func(podUsage) float64) func() {
		return func() {
			for _, u := range all {
				labels := fmt.Sprintf("namespace=%q,pod=%q", u.pod.Namespace, u.pod.Name)
				if container {
					labels = fmt.Sprintf("container=%q,%s", u.pod.Spec.Containers[0].Name, labels)
				}
				fmt.Fprintf(&b, "%s{%s} %g %d\n", name, labels, value(u), u.stats.Time.UnixMilli())
			}
		}
	}
	cpuOf := func(u podUsage) float64 { return u.stats.CPUSeconds }
	memoryOf := func(u podUsage) float64 { return float64(u.stats.Memory) }
	startOf := func(u podUsage) float64 { return float64(u.instance.CreatedAt.UnixMilli()) / 1000 }
	family("container_cpu_usage_seconds_total", "counter", each("container_cpu_usage_seconds_total", true, cpuOf))
	family("container_memory_working_set_bytes", "gauge", each("container_memory_working_set_bytes", true, memoryOf))
	family("container_start_time_seconds", "gauge", each("container_start_time_seconds", true, startOf))
	family("pod_cpu_usage_seconds_total", "counter", each("pod_cpu_usage_seconds_total", false, cpuOf))
	family("pod_memory_working_set_bytes", "gauge", each("pod_memory_working_set_bytes", false, memoryOf))
	family("node_cpu_usage_seconds_total", "counter", func() { fmt.Fprintf(&b, "node_cpu_usage_seconds_total %g\n", cpu) })
	family("node_memory_working_set_bytes", "gauge", func() { fmt.Fprintf(&b, "node_memory_working_set_bytes %d\n", memory) })
	family("resource_scrape_error", "gauge", func() { fmt.Fprint(&b, "resource_scrape_error 0\n") })
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, b.String())
}
