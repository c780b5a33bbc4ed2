package server

import (
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"cis/api"
)

// summary is the form that people and older programs read.
func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	u := s.usage(r.Context())
	out := stats.Summary{Node: s.nodeStats(u.host)}
	for _, p := range u.pods {
		out.Pods = append(out.Pods, p.stat())
	}
	writeJSON(w, out)
}

func (s *Server) nodeStats(h api.HostUsage) stats.NodeStats {
	at := metav1.NewTime(h.Time)
	n := stats.NodeStats{NodeName: s.Node,
		CPU:    cpuStats(h.Time, s.host.rate(h), h.CPUSeconds),
		Memory: &stats.MemoryStats{Time: at, UsageBytes: inBytes(h.Memory - h.MemoryAvailable), WorkingSetBytes: inBytes(h.Memory - h.MemoryAvailable)},
	}
	if h.Disk == 0 { // only the sum of the pods is known
		return n
	}
	n.Memory.AvailableBytes = inBytes(h.MemoryAvailable)
	n.Fs = &stats.FsStats{Time: at, AvailableBytes: inBytes(h.DiskAvailable), CapacityBytes: inBytes(h.Disk), UsedBytes: inBytes(h.Disk - h.DiskAvailable),
		Inodes: new(uint64(h.Inodes)), InodesFree: new(uint64(h.InodesAvailable)), InodesUsed: new(uint64(h.Inodes - h.InodesAvailable))}
	n.Rlimit = &stats.RlimitStats{Time: at, MaxPID: &h.PidsLimit, NumOfRunningProcesses: &h.Pids}
	return n
}

// hostRate makes of cpu time the cores in use.
type hostRate struct {
	mu    sync.Mutex
	last  api.HostUsage
	cores float64
}

// rate is that since a sample at least a second ago, at first 0.
func (r *hostRate) rate(h api.HostUsage) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	window := h.Time.Sub(r.last.Time)
	if window < time.Second {
		return r.cores
	}
	if !r.last.Time.IsZero() {
		r.cores = max(h.CPUSeconds-r.last.CPUSeconds, 0) / window.Seconds()
	}
	r.last = h
	return r.cores
}

func (p podUsage) stat() stats.PodStats {
	at := metav1.NewTime(p.stats.Time)
	out := stats.PodStats{
		PodRef:    stats.PodReference{Name: p.pod.Name, Namespace: p.pod.Namespace, UID: string(p.pod.UID)},
		StartTime: metav1.NewTime(p.instance.CreatedAt),
		CPU:       cpuStats(p.stats.Time, p.stats.CPU, p.stats.CPUSeconds),
		Memory:    &stats.MemoryStats{Time: at, UsageBytes: inBytes(p.stats.Memory), WorkingSetBytes: inBytes(p.stats.Memory)},
		Network: &stats.NetworkStats{Time: at,
			InterfaceStats: stats.InterfaceStats{Name: "eth0", RxBytes: new(uint64(p.stats.RxBytes)), TxBytes: new(uint64(p.stats.TxBytes))}},
		ProcessStats: &stats.ProcessStats{ProcessCount: new(uint64(p.stats.Pids))},
	}
	var disk api.Bytes
	for _, c := range p.stats.Containers {
		disk += c.Disk
		out.Containers = append(out.Containers, containerStat(at, c))
	}
	out.EphemeralStorage = &stats.FsStats{Time: at, UsedBytes: inBytes(disk)}
	return out
}

func containerStat(at metav1.Time, c api.ContainerStats) stats.ContainerStats {
	out := stats.ContainerStats{
		Name: c.Name, StartTime: metav1.NewTime(c.StartedAt), CPU: cpuStats(at.Time, c.CPU, c.CPUSeconds),
		Memory: &stats.MemoryStats{Time: at, UsageBytes: inBytes(c.MemoryUsage), WorkingSetBytes: inBytes(c.Memory)},
		Rootfs: &stats.FsStats{Time: at, UsedBytes: inBytes(c.Disk)},
	}
	if c.MemoryRSS > 0 {
		out.Memory.RSSBytes = inBytes(c.MemoryRSS)
	}
	return out
}

func cpuStats(at time.Time, cores, seconds float64) *stats.CPUStats {
	return &stats.CPUStats{Time: metav1.NewTime(at), UsageNanoCores: new(uint64(cores * 1e9)), UsageCoreNanoSeconds: new(uint64(seconds * 1e9))}
}

func inBytes(b api.Bytes) *uint64 { return new(uint64(max(b, 0))) }
