package runsc

import (
	"slices"
	"testing"
	"time"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
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
// the hostname set on the way, as an instance from the standby pool: one as of
// `cis run`, and those of pods, that have files and leave last words.
func BenchmarkFirstStart(b *testing.B) {
	for _, kind := range []struct {
		name         string
		words, files bool
	}{{"Plain", false, false}, {"Words", true, false}, {"Files", false, true}, {"Pod", true, true}} {
		b.Run(kind.name, func(b *testing.B) { benchmarkFirst(b, kind.words, kind.files) })
	}
}

func benchmarkFirst(b *testing.B, words, files bool) {
	var boots, exits, processor []time.Duration
	for b.Loop() {
		b.StopTimer()
		began := time.Now()
		var o boxOptions
		if files {
			o.volumes = []agentpb.Volume{{Name: "token", Files: true}}
		}
		s := newBox(b, o)
		boots = append(boots, time.Since(began))
		c := s.Shell("main", "")
		c.Args = []string{"/bin/echo", "hello"}
		if words {
			c.MessagePath = "/dev/termination-log"
		}
		b.StartTimer()
		began = time.Now()
		before := s.used()
		s.load.Hostname = "other"
		if err := s.Prepare(b.Context(), s.load); err != nil {
			b.Fatal(err)
		}
		if files {
			if err := s.SetFiles(b.Context(), "token", []fileset.File{{Path: "token", Mode: 0o644, Data: []byte("secret")}}); err != nil {
				b.Fatal(err)
			}
			c.Mounts = []agentpb.Mount{{Volume: "token", Path: "/var/run/secrets", ReadOnly: true}}
		}
		if exit, _ := s.Begin(c).End(); exit.Code != 0 {
			b.Fatal(exit)
		}
		exits = append(exits, time.Since(began))
		processor = append(processor, s.used()-before)
		s.hold.Close()
		<-s.Lost()
	}
	report(b, "exit", exits)
	report(b, "cpu", processor)
	report(b, "boot-and-build", boots)
}

// used is the processor time that the sandbox has had.
func (b *box) used() time.Duration {
	usage, err := b.groups.Usage(b.group)
	if err != nil {
		b.T.Fatal(err)
	}
	return time.Duration(usage.CPUSeconds * float64(time.Second))
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
