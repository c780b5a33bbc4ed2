package server

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cis/api"
)

// durationBounds of the histogram, in seconds. Streams fall into the last ones.
var durationBounds = []float64{.001, .005, .025, .1, .5, 2, 10, 60}

// metrics counts requests. The text format is simple enough to be written here,
// and a client library would weigh more than the rest of the server.
type metrics struct {
	mu       sync.Mutex
	requests map[requestKey]uint64
	times    map[string]*histogram
}

type requestKey struct {
	route string
	code  int
}

type histogram struct {
	buckets []uint64 // as durationBounds, not cumulative
	count   uint64
	sum     float64
}

func newMetrics() *metrics {
	return &metrics{requests: map[requestKey]uint64{}, times: map[string]*histogram{}}
}

// observe counts a request. The routes are patterns, so their number is bounded.
func (m *metrics) observe(route string, code int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[requestKey{route, code}]++
	h := m.times[route]
	if h == nil {
		h = &histogram{buckets: make([]uint64, len(durationBounds))}
		m.times[route] = h
	}
	h.count++
	h.sum += took.Seconds()
	if i, _ := slices.BinarySearch(durationBounds, took.Seconds()); i < len(h.buckets) {
		h.buckets[i]++
	}
}

func (s *Server) showMetrics(w http.ResponseWriter, r *request) error {
	info, err := s.Engine.Info(r.Context())
	if err != nil {
		return err
	}
	traffic, err := s.Engine.Traffic(r.Context())
	if err != nil {
		return err
	}
	var out exposition
	s.metrics.write(&out)
	out.instances(info)
	out.traffic(traffic)
	out.process()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err = w.Write(out.Bytes())
	return err
}

func (m *metrics) write(out *exposition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out.family("cis_http_requests_total", "counter", "Requests by route and HTTP status.")
	keys := slices.SortedFunc(maps.Keys(m.requests), func(a, b requestKey) int {
		return strings.Compare(a.route+strconv.Itoa(a.code), b.route+strconv.Itoa(b.code))
	})
	for _, k := range keys {
		out.value("cis_http_requests_total", float64(m.requests[k]), "route", k.route, "code", strconv.Itoa(k.code))
	}
	const name = "cis_http_request_duration_seconds"
	out.family(name, "histogram", "Time from a request's header to the end of its reply; streams included.")
	for _, route := range slices.Sorted(maps.Keys(m.times)) {
		h, total := m.times[route], uint64(0)
		for i, bound := range durationBounds {
			total += h.buckets[i]
			out.value(name+"_bucket", float64(total), "route", route, "le", formatFloat(bound))
		}
		out.value(name+"_bucket", float64(h.count), "route", route, "le", "+Inf")
		out.value(name+"_sum", h.sum, "route", route)
		out.value(name+"_count", float64(h.count), "route", route)
	}
}

// exposition is text in the Prometheus format 0.0.4.
type exposition struct{ bytes.Buffer }

func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// value writes a sample; labels are names and values in turn.
func (e *exposition) value(name string, v float64, labels ...string) {
	e.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		e.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(e, "%s=%q", labels[i], labels[i+1])
	}
	if len(labels) > 0 {
		e.WriteByte('}')
	}
	e.WriteString(" " + formatFloat(v) + "\n")
}

// gauge is a family with a single sample.
func (e *exposition) gauge(name, help string, v float64) {
	e.family(name, "gauge", help)
	e.value(name, v)
}

func (e *exposition) instances(info api.Info) {
	e.family("cis_instances", "gauge", "Instances on record by phase.")
	for _, phase := range []api.Phase{api.PhasePending, api.PhaseRunning, api.PhaseSucceeded, api.PhaseFailed} {
		e.value("cis_instances", float64(info.Instances[phase]), "phase", string(phase))
	}
	c := info.Capacity
	e.gauge("cis_capacity_cpu_cores", "Cores that may be given to instances.", c.CPU.Cores())
	e.gauge("cis_capacity_cpu_used_cores", "Cores given to instances.", c.CPUUsed.Cores())
	e.gauge("cis_capacity_memory_bytes", "Memory that may be given to instances.", float64(c.Memory))
	e.gauge("cis_capacity_memory_used_bytes", "Memory given to instances.", float64(c.MemoryUsed))
	e.gauge("cis_images", "Images on disk.", float64(info.Images))
	e.gauge("cis_images_bytes", "What images take on disk.", float64(info.ImagesSize))
	e.family("cis_standby_ready", "gauge", "Sandboxes that stand by, by size.")
	for _, s := range info.Standby {
		e.value("cis_standby_ready", float64(s.Ready), "cpu", s.CPU.String(), "memory", s.Memory.String())
	}
}

func (e *exposition) traffic(all []api.Traffic) {
	for _, way := range []struct {
		name, help string
		bytes      func(api.Traffic) int64
	}{
		{"cis_instance_receive_bytes_total", "What came to an instance over the network.", func(t api.Traffic) int64 { return t.RxBytes }},
		{"cis_instance_transmit_bytes_total", "What an instance sent over the network.", func(t api.Traffic) int64 { return t.TxBytes }},
	} {
		e.family(way.name, "counter", way.help)
		for _, t := range all {
			e.value(way.name, float64(way.bytes(t)), "id", t.ID, "name", t.Name, "vpc", t.VPC)
		}
	}
}

func (e *exposition) process() {
	e.gauge("go_goroutines", "Goroutines of the server.", float64(runtime.NumGoroutine()))
	if rss, ok := residentBytes(); ok {
		e.gauge("process_resident_memory_bytes", "Resident memory of the server.", rss)
	}
}

// residentBytes reads the second field of statm, see proc_pid_statm(5).
func residentBytes() (float64, bool) {
	data, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()), err == nil
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
