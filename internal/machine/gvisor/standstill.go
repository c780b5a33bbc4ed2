package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cis/internal/machine"
	"cis/internal/machine/standstill"
)

// Pause implements machine.Machine: it stops the process that is the sandbox's
// kernel, by SIGSTOP. An idle one would wake now and then, for its clock at least.
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
	defer kernel.Close()
	if err := kernel.Stop(ctx); err != nil {
		return fmt.Errorf("pause sandbox %s: %w", id, errors.Join(err, kernel.Signal(unix.SIGCONT)))
	}
	return nil
}

// Resume implements machine.Machine.
func (m *Machine) Resume(_ context.Context, id string) error {
	kernel, err := m.kernel(id)
	if err != nil {
		return err
	}
	defer kernel.Close()
	if err := kernel.Signal(unix.SIGCONT); err != nil {
		return fmt.Errorf("resume sandbox %s: %w", id, err)
	}
	return nil
}

// kernel finds the process that is the sandbox's kernel. The number that runsc has
// written may be another's by now: only one in the sandbox's cgroup counts.
func (m *Machine) kernel(id string) (standstill.Process, error) {
	if err := machine.CheckID(id); err != nil {
		return standstill.Process{}, err
	}
	data, err := os.ReadFile(filepath.Join(m.dir(id), "runsc.pid"))
	if err != nil {
		return standstill.Process{}, absent(id, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return standstill.Process{}, absent(id, err)
	}
	p, err := standstill.Open(pid)
	if err != nil {
		return standstill.Process{}, absent(id, err)
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(groups), ":"+m.box(id)+"\n") {
		p.Close()
		return standstill.Process{}, absent(id, err)
	}
	return p, nil
}
