package linux

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Signal implements runtime.Process. Everything in a container ends with its main program,
// so that a kill of all is a kill of that one, unless the PID namespace is another's.
func (p *program) Signal(_ context.Context, signal int, all bool) error {
	var err error
	switch c := p.container; {
	case all && signal == int(unix.SIGKILL) && !c.joins:
		err = c.main.process.Kill()
	case all:
		err = c.r.groups.Signal(c.group, unix.Signal(signal))
	case p == c.main && !c.joins && p.ignores(unix.Signal(signal)):
		p.endedBy.Store(int32(signal))
		err = p.process.Kill()
	default:
		err = p.process.Signal(unix.Signal(signal))
	}
	if err != nil {
		return fmt.Errorf("signal %s: %w", p.container.name, err)
	}
	if c := p.container; signal == int(unix.SIGKILL) && (all || p == c.main) {
		c.killed.Store(true)
		go c.r.abortShares(p.ended)
	}
	return nil
}

// ending are the signals whose default is to end a process, by signal(7), and which
// ask for no more than that.
var ending = []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM}

// ignores tells whether a main program would be deaf to a signal that ends others. It
// is process 1 of its namespace, and the kernel keeps from that one whatever it has
// not asked for; a stop would last until the grace period is over.
func (p *program) ignores(signal unix.Signal) bool {
	if !slices.Contains(ending, signal) {
		return false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Pid))
	if err != nil {
		return false
	}
	for _, set := range []string{"SigBlk:", "SigIgn:", "SigCgt:"} {
		if mask, ok := signalSet(status, set); !ok || mask&(1<<(signal-1)) != 0 {
			return false // it asked for something
		}
	}
	return true
}

// signalSet reads a set of signals in /proc/PID/status, see proc(5).
func signalSet(status []byte, name string) (mask uint64, ok bool) {
	_, rest, found := bytes.Cut(status, []byte("\n"+name))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	mask, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	return mask, found && err == nil
}
