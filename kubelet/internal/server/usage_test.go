package server

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"cis/api"
)

var testHost = api.HostUsage{
	Time: time.Unix(2, 0), CPUSeconds: 100.5, Memory: 1024 * api.MiB, MemoryAvailable: 1000 * api.MiB,
	Disk: 100 * api.GiB, DiskAvailable: 40 * api.GiB, Inodes: 1000, InodesAvailable: 900, Pids: 77, PidsLimit: 4096,
}

func TestSummary(t *testing.T) {
	web := serveWith(t, programs{host: testHost})
	_, text := get(t, web, "/stats/summary")
	var s stats.Summary
	if err := json.Unmarshal([]byte(text), &s); err != nil || len(s.Pods) != 1 || len(s.Pods[0].Containers) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	pod, side := s.Pods[0], s.Pods[0].Containers[1]
	for name, v := range map[string]struct{ got, want uint64 }{
		"node cpu":           {*s.Node.CPU.UsageCoreNanoSeconds, 100_500_000_000},
		"node memory":        {*s.Node.Memory.WorkingSetBytes, 24 << 20},
		"node disk":          {*s.Node.Fs.AvailableBytes, 40 << 30},
		"node processes":     {uint64(*s.Node.Rlimit.NumOfRunningProcesses), 77},
		"pod cpu":            {*pod.CPU.UsageNanoCores, 500_000_000},
		"pod memory":         {*pod.Memory.WorkingSetBytes, 64 << 20},
		"pod disk":           {*pod.EphemeralStorage.UsedBytes, 3 << 20},
		"pod processes":      {*pod.ProcessStats.ProcessCount, 3},
		"container cpu":      {*side.CPU.UsageNanoCores, 125_000_000},
		"container cpu time": {*side.CPU.UsageCoreNanoSeconds, 500_000_000},
		"container memory":   {*side.Memory.WorkingSetBytes, 8 << 20},
		"container rss":      {*side.Memory.RSSBytes, 4 << 20},
		"container disk":     {*side.Rootfs.UsedBytes, 2 << 20},
	} {
		if v.got != v.want {
			t.Errorf("%s: %d, want %d", name, v.got, v.want)
		}
	}
	if side.Name != "side" || pod.Containers[0].Memory.RSSBytes != nil || side.StartTime.Unix() != 2 {
		t.Errorf("%s", text)
	}
}

func TestHostRate(t *testing.T) {
	var r hostRate
	for _, step := range []struct{ at, cpu, want float64 }{{10, 100, 0}, {12, 103, 1.5}, {12.5, 110, 1.5}, {14, 105, 1}, {16, 90, 0}} {
		h := api.HostUsage{Time: time.Unix(0, int64(step.at*1e9)), CPUSeconds: step.cpu}
		if got := r.rate(h); got != step.want {
			t.Errorf("at %v: %v, want %v", step.at, got, step.want)
		}
	}
}

func TestResourceMetrics(t *testing.T) {
	for name, test := range map[string]struct {
		programs programs
		want     []string
	}{
		"the host": {programs{host: testHost}, []string{
			"# TYPE container_cpu_usage_seconds_total counter",
			`container_cpu_usage_seconds_total{container="a",namespace="n",pod="p"} 1.25 1000`,
			`container_cpu_usage_seconds_total{container="side",namespace="n",pod="p"} 0.5 1000`,
			`container_memory_working_set_bytes{container="a",namespace="n",pod="p"} 16777216 1000`,
			`container_start_time_seconds{container="side",namespace="n",pod="p"} 2.75`,
			`pod_cpu_usage_seconds_total{namespace="n",pod="p"} 2 1000`,
			`pod_memory_working_set_bytes{namespace="n",pod="p"} 67108864 1000`,
			"node_cpu_usage_seconds_total 100.5 2000", "node_memory_working_set_bytes 25165824 2000", "resource_scrape_error 0",
		}},
		"an account's key": {programs{}, []string{
			"node_cpu_usage_seconds_total 2 1000", "node_memory_working_set_bytes 67108864 1000", "resource_scrape_error 0",
		}},
		"cis does not tell": {programs{broken: errors.New("broken")}, []string{"node_cpu_usage_seconds_total 2 1000", "resource_scrape_error 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, text := get(t, serveWith(t, test.programs), "/metrics/resource")
			for _, line := range test.want {
				if !strings.Contains("\n"+text, "\n"+line+"\n") {
					t.Errorf("%q is not in\n%s", line, text)
				}
			}
		})
	}
}
