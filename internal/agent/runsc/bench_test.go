package runsc

import (
	"slices"
	"testing"
	"time"

	"cis/internal/agent/agentpb"
)

// BenchmarkStart measures a container's start to its end in a ready sandbox.
func BenchmarkStart(b *testing.B) {
	s := newBox(b, boxOptions{})
	var starts, ends, deletes []time.Duration
	for b.Loop() {
		c := s.Shell("main", "")
		c.Args = []string{"/bin/echo", "hello"}
		began := time.Now()
		r := s.Begin(c)
		starts = append(starts, time.Since(began))
		if exit, output := r.End(); exit.Code != 0 || output != "hello\n" {
			b.Fatal(exit, output)
		}
		ends = append(ends, time.Since(began))
		if err := r.Delete(b.Context()); err != nil {
			b.Fatal(err)
		}
		deletes = append(deletes, time.Since(began))
	}
	report(b, "start", starts)
	report(b, "exit", ends)
	report(b, "deleted", deletes)
}

// BenchmarkFirstStart measures it in a sandbox that has run nothing before, with
// the hostname set on the way, as an instance from the standby pool.
func BenchmarkFirstStart(b *testing.B) {
	var boots, exits []time.Duration
	for b.Loop() {
		b.StopTimer()
		began := time.Now()
		s := newBox(b, boxOptions{})
		boots = append(boots, time.Since(began))
		c := s.Shell("main", "")
		c.Args = []string{"/bin/echo", "hello"}
		b.StartTimer()
		began = time.Now()
		s.load.Hostname = "other"
		if err := s.Prepare(b.Context(), s.load); err != nil {
			b.Fatal(err)
		}
		if exit, _ := s.Begin(c).End(); exit.Code != 0 {
			b.Fatal(exit)
		}
		exits = append(exits, time.Since(began))
		s.hostnames.Close()
		<-s.Lost()
	}
	report(b, "exit", exits)
	report(b, "boot-and-build", boots)
}

func BenchmarkExec(b *testing.B) {
	s := newBox(b, boxOptions{})
	r := s.Begin(s.Shell("main", "cat"))
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		s.Execute("main", &agentpb.ExecStart{Args: []string{"/bin/true"}}).End()
		times = append(times, time.Since(began))
	}
	report(b, "exec", times)
	r.Stdin.Close()
	r.End()
}

func report(b *testing.B, name string, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, name+"-median-ms")
}
