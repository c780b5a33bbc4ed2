package e2e

import (
	"math"
	"strconv"
	"strings"
	"time"

	"cis/api"
)

var limitTests = tests{
	"memory": func(e *env) {
		name := e.name()
		r := e.cis("run", "--name", name, "--isolation", e.isolation, "--memory", "64Mi", e.stage.Image, "sh", "-c", "echo up; tail /dev/zero")
		e.equal("exit code", r.Code, 137)
		if !strings.Contains(r.Stderr, "memory") {
			e.Errorf("cis does not say why: %q", r.Stderr)
		}
		in := e.ended(name)
		last := in.Status.ContainerStatuses[0].State.Terminated
		if last == nil || last.Reason != api.ReasonOOMKilled || last.ExitCode != 137 {
			e.Errorf("state %+v", last)
		}
		e.equal("output before the end", e.logs(name), "up\n")
	},
	"processes": func(e *env) {
		r := e.run("--", "sh", "-c", "for i in $(seq 2000); do sleep 20 & done; echo never")
		if r.Code == 0 && strings.Contains(r.Stdout, "never") && !strings.Contains(r.Stderr, "fork") {
			e.Errorf("2000 processes could be started: %q %q", r.Stdout, r.Stderr)
		}
	},
	"ephemeral storage": func(e *env) {
		r := e.run("--ephemeral-storage", "16Mi", "--", "sh", "-c", "dd if=/dev/zero of=/root/big bs=1M count=64; ls /root; rm /root/big; echo again >/root/small && cat /root/small")
		if !strings.Contains(r.Stderr, "No space left on device") {
			e.Errorf("no ENOSPC: %q", r.Stderr)
		}
		if !strings.HasSuffix(r.Stdout, "again\n") {
			e.Errorf("after removing it there is no space again: %q %q", r.Stdout, r.Stderr)
		}
	},
	"what does not fit is refused": func(e *env) {
		e.fails(125, []string{"memory"}, "run", "--rm", "--memory", "64Ti", e.stage.Image, "true")
		e.fails(125, []string{"cpu"}, "run", "--rm", "--cpu", "100000", e.stage.Image, "true")
		info, err := e.stage.Client.Info(e.Context())
		if err != nil {
			e.Fatal(err)
		}
		// Half of the memory twice is too much together with the host's share.
		half := (info.Memory / 2 / api.MiB * api.MiB).String()
		first := e.start("--memory", half, "--", "sleep", "1000")
		e.fails(125, []string{"memory"}, "run", "--rm", "--memory", half, e.stage.Image, "true")
		e.ok("rm", "-f", first)
		e.until("there is room again", func() bool { return e.cis("run", "--rm", "--memory", half, e.stage.Image, "true").Code == 0 })
	},
	"the size shows inside": func(e *env) {
		if e.isolation == "vm" {
			// The kernel has some more for itself; the limit is a cgroup's, as with docker.
			e.equal("memory.max", e.out("--cpu", "1", "--memory", "128Mi", "--", "cat", "/sys/fs/cgroup/memory.max"), "134217728")
			return
		}
		kb, err := strconv.Atoi(e.out("--cpu", "1", "--memory", "128Mi", "--", "sh", "-c", "awk '/MemTotal/ {print $2}' /proc/meminfo"))
		if err != nil || math.Abs(float64(kb)-131072) > 2048 {
			e.Errorf("MemTotal %d kB, want 131072: %v", kb, err)
		}
	},
}

// cpuShare is measured alone: other cases would take their part of the cores. An instance
// never has more than its share; that it has all of it shows once the host has it to give.
func cpuShare(e *env) {
	const cores, seconds = 0.5, 4
	name := e.start("--cpu", "0.5", "--", "sh", "-c", "while :; do :; done")
	e.when(name, "running", running)
	look := func() api.Stats {
		s, err := e.stage.Client.Stats(e.Context(), name)
		if err != nil {
			e.Fatal(err)
		}
		return s
	}
	time.Sleep(time.Second) // the start is over
	e.until("all of its share is used", func() bool {
		before := look()
		time.Sleep(seconds * time.Second)
		after := look()
		share := (after.CPUSeconds - before.CPUSeconds) / after.Time.Sub(before.Time).Seconds()
		if share > 1.1*cores {
			e.Fatalf("an instance of %v cores used %.3f", cores, share)
		}
		return share > 0.9*cores
	})
}
