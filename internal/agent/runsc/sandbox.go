package runsc

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/errand"
	"cis/internal/agent/runtime"
)

// Sandbox is a booted gVisor sandbox.
type Sandbox struct {
	conf    Config
	control control
	volumes map[string]*volume

	// hold is cis-pause's standard input, which holds the sandbox open, and where it is told
	// errands.
	hold    *os.File
	errands *errand.Client

	mu       sync.Mutex
	workload *agentpb.Workload
	// containers that are started and not deleted, the latest of each name.
	containers map[string]*container
	// files are the numbers of the volumes with Files.
	files    map[string]int
	starts   int
	oomKills int64

	lost  chan struct{}
	cause runtime.Loss // set before lost is closed
}

var _ runtime.Runtime = (*Sandbox)(nil)

// Prepare implements runtime.Runtime.
func (s *Sandbox) Prepare(ctx context.Context, w *agentpb.Workload) error {
	for _, v := range w.Volumes {
		if _, ok := s.volumes[v.Name]; v.Image == "" && !v.Files && !ok {
			return fmt.Errorf("prepare: volume %s was not there when the sandbox booted", v.Name)
		}
	}
	// cis-pause owns the host name that all containers see.
	if err := s.errands.SetHostname(ctx, w.Hostname); err != nil {
		return fmt.Errorf("prepare: set hostname %q: %w", w.Hostname, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workload = w
	return nil
}

// Resize implements runtime.Runtime. The limit is that of the sandbox's cgroup, which is the
// machine's.
func (s *Sandbox) Resize(context.Context, api.Bytes) error { return nil }

// Settle implements runtime.Runtime: what is written goes to the host's kernel at once.
func (s *Sandbox) Settle() error { return nil }

// Lost implements runtime.Runtime.
func (s *Sandbox) Lost() <-chan struct{} { return s.lost }

// Cause implements runtime.Runtime.
func (s *Sandbox) Cause() runtime.Loss {
	select {
	case <-s.lost:
		return s.cause
	default:
		return runtime.Loss{}
	}
}

// watch waits for the sandbox's end and tells of it.
func (s *Sandbox) watch(pid int, log *sandboxLog) {
	how := "ended"
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err == nil {
			how = describe(status)
		}
		break
	}
	s.cause = runtime.Loss{OOMKilled: s.newOOMKill(), Message: "the sandbox " + how}
	switch tail := log.wait(); {
	case s.cause.OOMKilled:
		s.cause.Message += ": it used more memory than the instance has"
	case counter(s.conf.PidsEvents, "max") > 0:
		s.cause.Message += ": it had more processes and threads than an instance may have"
	case tail != "":
		s.cause.Message += ": " + tail
	}
	close(s.lost)
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return fmt.Sprintf("was ended by signal %d (%s)", status.Signal(), unix.SignalName(status.Signal()))
	}
	return fmt.Sprintf("exited with code %d", status.ExitStatus())
}

// newOOMKill tells whether the kernel has killed anything of the sandbox for want
// of memory since the last time it was asked.
func (s *Sandbox) newOOMKill() bool {
	kills := counter(s.conf.OOMEvents, "oom_kill")
	s.mu.Lock()
	defer s.mu.Unlock()
	more := kills > s.oomKills
	s.oomKills = kills
	return more
}

// counter finds a line "name number" in a file; what cannot be read counts as 0.
func counter(path, name string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			number, _ := strconv.ParseInt(value, 10, 64)
			return number
		}
	}
	return 0
}

// notRunning is the answer for a container that does not run.
func notRunning(name string) error {
	return &api.Error{Code: api.Conflict, Message: fmt.Sprintf("container %s does not run", name), Next: "wait until it has started"}
}
