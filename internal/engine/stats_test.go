package engine

import (
	"fmt"
	"math"
	"testing"
	"time"

	"cis/api"
)

// TestCPUMeter: containers get no more than the sandbox has used, never less than before,
// and begin anew with a new attempt.
func TestCPUMeter(t *testing.T) {
	began := time.Unix(1000, 0)
	type container struct {
		began, cpu float64 // the start in seconds after the sandbox's
	}
	type sample struct {
		sandbox    string
		at, cpu    float64
		containers map[string]container
		want       map[string]string // used and rate; of the whole by ""
	}
	at := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	one := func(cpu float64) map[string]container { return map[string]container{"a": {0, cpu}} }
	for name, samples := range map[string][]sample{
		"the mean since the start, then since the last": {
			{"s", 10, 5, one(4), map[string]string{"": "5 0.5", "a": "4 0.4"}},
			{"s", 20, 7, one(5), map[string]string{"": "7 0.2", "a": "5 0.1"}},
		},
		"a rate needs a second": {
			{"s", 10, 5, one(4), map[string]string{"": "5 0.5", "a": "4 0.4"}},
			{"s", 10.5, 5.5, one(4.5), map[string]string{"": "5.5 0.5", "a": "4.5 0.4"}},
			{"s", 12, 7, one(5), map[string]string{"": "7 1", "a": "5 0.5"}},
		},
		"cut to what the sandbox used": {
			{"s", 10, 5, map[string]container{"a": {0, 2}, "b": {0, 8}}, map[string]string{"a": "1 0.1", "b": "4 0.4"}},
			{"s", 20, 10, map[string]container{"a": {0, 3}, "b": {0, 9}}, map[string]string{"a": "2 0.1", "b": "5 0.1"}},
		},
		"no less than before": {
			{"s", 10, 5, one(4), map[string]string{"a": "4 0.4"}},
			{"s", 20, 4, one(3), map[string]string{"": "4 0", "a": "4 0"}},
		},
		"another attempt": {
			{"s", 10, 5, one(4), map[string]string{"a": "4 0.4"}},
			{"s", 20, 11, map[string]container{"a": {15, 1}}, map[string]string{"": "11 0.6", "a": "1 0.2"}},
		},
		"another sandbox": {
			{"s", 10, 5, one(4), map[string]string{"a": "4 0.4"}},
			{"r", 20, 2, one(1), map[string]string{"": "2 0.1", "a": "1 0.05"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m cpuMeter
			for _, in := range samples {
				s := api.Stats{Time: at(in.at), CPUSeconds: in.cpu}
				for name, c := range in.containers {
					s.Containers = append(s.Containers, api.ContainerStats{Name: name, StartedAt: at(c.began), CPUSeconds: c.cpu})
				}
				m.add(in.sandbox, began, &s)
				got := map[string]string{"": text(s.CPUSeconds, s.CPU)}
				for _, c := range s.Containers {
					got[c.Name] = text(c.CPUSeconds, c.CPU)
				}
				for of, want := range in.want {
					if got[of] != want {
						t.Errorf("after %v s, %q: %s, want %s", in.at, of, got[of], want)
					}
				}
			}
		})
	}
}

func text(used, rate float64) string {
	round := func(v float64) float64 { return math.Round(v*1e6) / 1e6 }
	return fmt.Sprintf("%v %v", round(used), round(rate))
}
