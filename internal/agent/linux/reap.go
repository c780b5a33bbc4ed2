package linux

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapDelay is how long an ended child is left to whoever started it.
const reapDelay = 10 * time.Second

// Reap waits for children that nobody else waits for, until ctx ends: process 1
// inherits those of any process that dies. It leaves the programs of containers
// alone, and takes another child only when that has been dead for some seconds, so
// that whoever started it has the time to wait for it.
func (r *Runtime) Reap(ctx context.Context) { r.reap(ctx, reapDelay) }

func (r *Runtime) reap(ctx context.Context, delay time.Duration) {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, unix.SIGCHLD)
	defer signal.Stop(ends)
	var before map[int]bool
	for {
		// With dead children in sight look again by the clock, else at the next end.
		var again <-chan time.Time
		wake := ends
		if len(before) > 0 {
			again, wake = time.After(delay), nil
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-again:
		}
		dead := r.deadChildren()
		for pid := range dead {
			if before[pid] {
				unix.Wait4(pid, nil, unix.WNOHANG, nil)
				delete(dead, pid)
			}
		}
		before = dead
	}
}

// deadChildren are the children of this process that have ended and that are no
// programs of containers.
func (r *Runtime) deadChildren() map[int]bool {
	dead := map[int]bool{}
	for _, pid := range r.others() {
		if isDead(pid) {
			dead[pid] = true
		}
	}
	return dead
}

// others are the children of this process that are no programs of containers.
func (r *Runtime) others() (pids []int) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		data, _ := os.ReadFile(list) // a thread that is gone has no children
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil && !r.knows(pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (r *Runtime) knows(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.programs[pid]
}

// isDead looks at a child without taking its end away.
func isDead(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == int32(syscall.SIGCHLD)
}
