package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stopTime is how long Pause waits for the sandbox's kernel to stop, and stopStep
// how often it looks.
const (
	stopTime = 2 * time.Second
	stopStep = time.Millisecond
)

// Pause implements machine.Machine: it stops the process that is the sandbox's
// kernel, by SIGSTOP. An idle one would use some percent of a processor, for its
// platform systrap wakes every 400 µs (controlFastPath in gVisor's
// pkg/sentry/platform/systrap/metrics.go).
//
// It is not the cgroup's freezer, because that stops the processes in which programs
// run too: their seccomp notifications then begin anew, and the pinned runsc dies
// of it once resumed (fixed in gVisor's pull request 12820). Those processes wait for
// the kernel anyway when nothing runs inside.
//
// A paused sandbox whose agent dies ends when it is resumed or destroyed.
func (m *Machine) Pause(ctx context.Context, id string) error {
	kernel, err := m.kernel(id)
	if err != nil {
		return err
	}
	defer kernel.close()
	if err := kernel.stop(ctx); err != nil {
		return fmt.Errorf("pause sandbox %s: %w", id, errors.Join(err, kernel.signal(unix.SIGCONT)))
	}
	return nil
}

// Resume implements machine.Machine.
func (m *Machine) Resume(_ context.Context, id string) error {
	kernel, err := m.kernel(id)
	if err != nil {
		return err
	}
	defer kernel.close()
	if err := kernel.signal(unix.SIGCONT); err != nil {
		return fmt.Errorf("resume sandbox %s: %w", id, err)
	}
	return nil
}

// process is one that cannot be mistaken for a later one with its number.
type process struct{ pid, fd int }

// kernel finds the process that is the sandbox's kernel. The number that runsc has
// written may be another's by now: only one in the sandbox's cgroup counts.
func (m *Machine) kernel(id string) (process, error) {
	if err := checkID(id); err != nil {
		return process{}, err
	}
	data, err := os.ReadFile(filepath.Join(m.dir(id), "runsc.pid"))
	if err != nil {
		return process{}, absent(id, err)
	}
	p := process{}
	if p.pid, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
		return process{}, absent(id, err)
	}
	if p.fd, err = unix.PidfdOpen(p.pid, 0); err != nil {
		return process{}, absent(id, err)
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.pid))
	if err != nil || !strings.Contains(string(groups), ":"+m.box(id)+"\n") {
		p.close()
		return process{}, absent(id, err)
	}
	return p, nil
}

func (p process) close() { unix.Close(p.fd) }

func (p process) signal(s unix.Signal) error {
	return os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(p.fd, s, nil, 0))
}

// stop returns when all threads have stopped.
func (p process) stop(ctx context.Context) error {
	if err := p.signal(unix.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, fmt.Errorf("it does not stop within %v", stopTime))
	defer cancel()
	for {
		if stopped, err := p.stopped(); stopped || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(stopStep):
		}
	}
}

// stopped looks at each thread's state, the field after the name in parentheses
// (proc_pid_stat(5)).
func (p process) stopped() (bool, error) {
	threads := fmt.Sprintf("/proc/%d/task", p.pid)
	entries, err := os.ReadDir(threads)
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		stat, err := os.ReadFile(filepath.Join(threads, entry.Name(), "stat"))
		if err != nil {
			return false, nil // the thread has ended: look again
		}
		after := stat[strings.LastIndexByte(string(stat), ')')+1:]
		if !strings.HasPrefix(string(after), " T") {
			return false, nil
		}
	}
	return true, nil
}
