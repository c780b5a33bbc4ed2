package linux

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"cis/internal/agent/runtime"
)

// program is a process in a container that is a child of this one.
type program struct {
	container *container
	process   *os.Process

	// endedBy is the signal for which the program was killed, since it would not have
	// heard it.
	endedBy atomic.Int32

	ended chan struct{}
	exit  runtime.Exit // set before ended is closed, as is err
	err   error
}

// adopt watches over a process that has become a program. It is waited for from now
// on, whether the caller asks or not: a container ends only when everything that was
// started in it from outside has been waited for.
func (c *container) adopt(process *os.Process) *program {
	p := &program{container: c, process: process, ended: make(chan struct{})}
	c.r.know(process.Pid, true)
	go func() {
		defer close(p.ended)
		state, err := process.Wait()
		c.r.know(process.Pid, false)
		if err != nil {
			p.err = fmt.Errorf("wait for process %d: %w", process.Pid, err)
			return
		}
		p.exit = p.exitOf(state.Sys().(syscall.WaitStatus))
	}()
	return p
}

// know notes which children the reaper leaves alone.
func (r *Runtime) know(pid int, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known {
		r.programs[pid] = true
	} else {
		delete(r.programs, pid)
	}
}

func (p *program) exitOf(status syscall.WaitStatus) runtime.Exit {
	if !status.Signaled() {
		return runtime.Exit{Code: status.ExitStatus()}
	}
	signal := int(status.Signal())
	if by := int(p.endedBy.Load()); by != 0 && signal == int(unix.SIGKILL) {
		return runtime.Exit{Code: 128 + by, Signal: by}
	}
	return runtime.Exit{
		Code: 128 + signal, Signal: signal,
		OOMKilled: signal == int(unix.SIGKILL) && p.container.newOOMKill(),
	}
}

// newOOMKill tells whether the kernel has killed anything of the container for want
// of memory since the last time it was asked.
func (c *container) newOOMKill() bool {
	kills, err := c.r.groups.OOMKills(c.group)
	return err == nil && c.oomKills.rises(kills)
}

// counter remembers the highest number it was given.
type counter struct {
	mu   sync.Mutex
	last int64
}

func (c *counter) rises(to int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to <= c.last {
		return false
	}
	c.last = to
	return true
}

// Wait implements runtime.Process.
func (p *program) Wait() (runtime.Exit, error) {
	<-p.ended
	return p.exit, p.err
}

// Delete implements runtime.Process: of a program beside the main one nothing is
// left.
func (p *program) Delete(context.Context) error { return nil }
