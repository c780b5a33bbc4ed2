package supervise

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Options of a group; each has to be set.
type Options struct {
	// MinDelay and MaxDelay bound the wait before a process that ended is started anew;
	// it doubles each time, and begins anew after a run of Reset.
	MinDelay, MaxDelay, Reset time.Duration
	// Tries is how often a process may end before it was ever ready.
	Tries int
	// Patience is how long the first readiness may take.
	Patience time.Duration
	// Interval is how often a process is asked whether it is ready.
	Interval time.Duration
	// Grace is how long a process has to end before it is killed.
	Grace time.Duration
	// Inherit are files that processes hold open as long as they live, from descriptor 3.
	Inherit []*os.File
}

// Group is processes in stages: those of a stage need all of the stages before.
type Group struct {
	options Options
	stages  [][]*keeper

	endLaunch context.CancelFunc // nil without Launch
	launching sync.WaitGroup
}

// NewGroup makes a group of stopped processes.
func NewGroup(options Options, stages ...[]Process) *Group {
	g := &Group{options: options}
	for _, stage := range stages {
		var keepers []*keeper
		for _, p := range stage {
			keepers = append(keepers, &keeper{Process: p, Options: &g.options})
		}
		g.stages = append(g.stages, keepers)
	}
	return g
}

// Start starts the stages in order, each when all before are ready, and returns when
// the last is. Then the processes are kept running until Stop. After an error or the
// end of ctx nothing runs.
func (g *Group) Start(ctx context.Context) error {
	for _, stage := range g.stages {
		if err := g.startStage(ctx, stage); err != nil {
			g.Stop()
			return err
		}
	}
	return nil
}

func (g *Group) startStage(ctx context.Context, stage []*keeper) error {
	ctx, cancel := context.WithTimeoutCause(ctx, g.options.Patience, errPatience)
	defer cancel()
	firsts := make([]<-chan error, len(stage))
	for i, k := range stage {
		firsts[i] = k.start()
	}
	for i, k := range stage {
		select {
		case err := <-firsts[i]:
			if err != nil {
				return &StartError{k.Name, err}
			}
		case <-ctx.Done():
			return &StartError{k.Name, context.Cause(ctx)}
		}
	}
	return nil
}

// Launch is Start for what may have to wait for others: it starts the stages in the
// background, and gives up on none, until Stop. The channel gets nil when all are ready
// for the first time, or before that why one is not.
func (g *Group) Launch() <-chan error {
	ctx, cancel := context.WithCancel(context.Background())
	g.endLaunch = cancel
	result := make(chan error, 1)
	g.launching.Go(func() {
		for _, stage := range g.stages {
			if !launchStage(ctx, stage, result) {
				return
			}
		}
		tell(result, nil)
	})
	return result
}

// launchStage is whether all of the stage have become ready before ctx ended.
func launchStage(ctx context.Context, stage []*keeper, result chan error) bool {
	firsts := make([]<-chan error, len(stage))
	for i, k := range stage {
		firsts[i] = k.start()
	}
	for i, k := range stage {
		for ready := false; !ready; {
			select {
			case err := <-firsts[i]:
				if ready = err == nil; !ready {
					tell(result, error(&StartError{k.Name, err}))
				}
			case <-ctx.Done():
				return false
			}
		}
	}
	return true
}

var errPatience = fmt.Errorf("it is not ready in time")

// StartError says which process did not become ready.
type StartError struct {
	Name string
	Err  error
}

func (e *StartError) Error() string { return "start " + e.Name + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *StartError) Unwrap() error { return e.Err }

// Stop stops the stages in the opposite order, each when all after it are gone.
func (g *Group) Stop() {
	if g.endLaunch != nil {
		g.endLaunch()
		g.launching.Wait()
	}
	for _, stage := range slices.Backward(g.stages) {
		var stopping sync.WaitGroup
		for _, k := range stage {
			stopping.Go(k.stop)
		}
		stopping.Wait()
	}
}

// Status is that of each process, in the order of start.
func (g *Group) Status() (all []Status) {
	for _, stage := range g.stages {
		for _, k := range stage {
			all = append(all, k.snapshot())
		}
	}
	return all
}
