// Package supervise keeps programs running: it starts them in order, each when those
// before it are ready, starts anew what dies, and stops them in the opposite order. When
// it dies itself, they die with it. It knows nothing of what the programs do.
package supervise

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program that shall run.
type Process struct {
	Name string
	// Prepare says how to run it; it is asked before each run.
	Prepare func() (Run, error)
	// Log takes what it writes.
	Log io.Writer
}

// Run is one run of a program.
type Run struct {
	Path string
	Args []string // without the program's own name
	Env  []string // added to that of this process
	// Address at which this run listens, for Status; may be empty.
	Address string
	// Ready is asked until it gives nil.
	Ready func(context.Context) error
	// Gone, if there is one, returns nil when what the run rests on is gone, and an error
	// when ctx ends. The program is then stopped, and started anew.
	Gone func(context.Context) error
}

// State is what a process is doing.
type State string

// The states of a process.
const (
	Stopped  State = "stopped"
	Starting State = "starting"
	Ready    State = "ready"
	Waiting  State = "waiting" // it ended, and is started anew in a moment
)

// Status is what is known of a process.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Address  string    `json:"address,omitempty"`
	Since    time.Time `json:"since"` // of the state
	Restarts int       `json:"restarts"`
	LastEnd  string    `json:"lastEnd,omitempty"` // why the last run ended
}

// keeper keeps one process running.
type keeper struct {
	Process
	*Options

	mu     sync.Mutex
	status Status
	cancel context.CancelFunc // nil while it is not kept
	done   chan struct{}
}

// start begins to keep the process. The channel gets nil when it is ready for the first
// time, or why it will not be.
func (k *keeper) start() <-chan error {
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	k.mu.Lock()
	k.cancel, k.done = cancel, make(chan struct{})
	k.status.Restarts, k.status.LastEnd = 0, ""
	k.mu.Unlock()
	go k.keep(ctx, first)
	return first
}

// stop ends the process and waits until it is gone.
func (k *keeper) stop() {
	k.mu.Lock()
	cancel, done := k.cancel, k.done
	k.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

func (k *keeper) keep(ctx context.Context, first chan error) {
	defer close(k.done)
	defer k.set(Stopped, 0, "")
	delay, wasReady := k.MinDelay, false
	for failures := 0; ; {
		began := time.Now()
		end := k.once(ctx, func() {
			wasReady = true
			tell(first, nil)
		})
		if ctx.Err() != nil {
			tell(first, ctx.Err())
			return
		}
		if failures++; !wasReady && failures >= k.Tries {
			tell(first, fmt.Errorf("%s %s, %d times before it was ready", k.Name, end, failures))
		}
		if time.Since(began) >= k.Reset {
			delay = k.MinDelay
		}
		k.ended(end)
		select {
		case <-ctx.Done():
			tell(first, ctx.Err())
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, k.MaxDelay)
	}
}

// tell puts news into a channel for one, in the place of what nobody has taken yet.
func tell(c chan error, news error) {
	select {
	case <-c:
	default:
	}
	c <- news
}

// once runs the program until it ends, or until ctx ends and it was stopped; it says
// how it ended.
func (k *keeper) once(ctx context.Context, ready func()) string {
	run, err := k.Prepare()
	if err != nil {
		return "cannot be started: " + err.Error()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, run.Path, run.Args...)
	cmd.Env = append(os.Environ(), run.Env...)
	cmd.Stdout, cmd.Stderr = k.Log, k.Log
	cmd.ExtraFiles = k.Inherit
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = k.Grace
	// A group of its own: the terminal's interrupt is for this process, which then stops
	// the others in order. No thread of this process is ever locked and ended, so the
	// death signal comes with the process' own death.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "cannot be started: " + err.Error()
	}
	k.set(Starting, cmd.Process.Pid, run.Address)
	watch, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if k.awaitReady(watch, run.Ready) {
			k.set(Ready, cmd.Process.Pid, run.Address)
			ready()
		}
	})
	if run.Gone != nil {
		watcher.Go(func() {
			if run.Gone(watch) == nil {
				stop()
			}
		})
	}
	err = cmd.Wait()
	cancel()
	watcher.Wait()
	if err == nil {
		return "ended"
	}
	return "ended: " + err.Error()
}

// awaitReady asks until it is ready (true) or ctx ends.
func (k *keeper) awaitReady(ctx context.Context, ready func(context.Context) error) bool {
	tick := time.NewTicker(k.Interval)
	defer tick.Stop()
	for {
		if ready(ctx) == nil && ctx.Err() == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func (k *keeper) set(state State, pid int, address string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.State, k.status.PID, k.status.Address, k.status.Since = state, pid, address, time.Now()
}

func (k *keeper) ended(how string) {
	k.set(Waiting, 0, "")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.Restarts++
	k.status.LastEnd = how
}

func (k *keeper) snapshot() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	s.Name = k.Name
	if s.State == "" {
		s.State = Stopped
	}
	return s
}
