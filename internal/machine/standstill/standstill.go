// Package standstill stops a process with all its threads, as machines do with
// sandboxes that wait for work, and lets it go on.
//
// It never looks for a process: its callers know which one is theirs.
package standstill

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stopTime is how long Stop waits for the process to stop, and stopStep how often it
// looks.
const (
	stopTime = 2 * time.Second
	stopStep = time.Millisecond
)

// Process is one that cannot be mistaken for a later one with its number.
type Process struct{ pid, fd int }

// Open takes hold of the process that has a number now.
func Open(pid int) (Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return Process{}, fmt.Errorf("open process %d: %w", pid, err)
	}
	return Process{pid, fd}, nil
}

// Close gives the hold on the process up; the process stays as it is.
func (p Process) Close() { unix.Close(p.fd) }

// Signal sends a signal to the process.
func (p Process) Signal(s unix.Signal) error {
	return os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(p.fd, s, nil, 0))
}

// Stop makes the process stand still by SIGSTOP, and returns when all threads have stopped.
func (p Process) Stop(ctx context.Context) error {
	if err := p.Signal(unix.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stopTime, fmt.Errorf("it does not stop within %v", stopTime))
	defer cancel()
	for {
		if stopped, err := p.Stopped(); stopped || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(stopStep):
		}
	}
}

// Stopped looks at each thread's state, the field after the name in parentheses
// (proc_pid_stat(5)).
func (p Process) Stopped() (bool, error) {
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
