package lifecycle

import (
	"time"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// Event is something that happened to the workload. Events about an attempt of a
// container that is over are ignored.
type Event interface{ event() }

// Ref names one attempt of a container.
type Ref struct {
	Container string
	Attempt   int
}

type (
	// Begin starts the workload; it comes once, first.
	Begin struct{}
	// Add starts one more container. It is for whoever looks at the others: it is never
	// restarted, has no say in how the workload ends, and ends with it.
	Add struct{ Container *agentpb.Container }
	// Tick tells that the time Wake named has come.
	Tick struct{}
	// Started answers Start. Failure is nil when the program runs.
	Started struct {
		Ref
		Failure *Failure
	}
	// Exited tells that a program has ended and its output is complete.
	Exited struct {
		Ref
		runtime.Exit
		// Message of the runtime, where it could not tell how the program ended.
		Message string
	}
	// Cleared tells that nothing is left of an attempt, so that the next may start.
	Cleared struct{ Ref }
	// HookDone answers RunHook. The error is nil when it succeeded.
	HookDone struct {
		Ref
		Hook Hook
		Err  error
	}
	// Probed answers Probe. Message says why it failed.
	Probed struct {
		Ref
		Kind    ProbeKind
		OK      bool
		Message string
	}
	// Wrote tells of an attempt's first output.
	Wrote struct {
		Ref
		At time.Time
	}
	// Noticed is told on as an event with type Warning.
	Noticed struct {
		Ref
		Reason, Message string
	}
	// Restart ends an attempt that runs, with hooks and grace period, and starts the next one
	// at once. A container that its policy does not restart runs on.
	Restart struct{ Ref }
	// Stop ends the workload. A later one can shorten the grace period.
	Stop struct {
		Grace   time.Duration
		Message string
	}
	// Lost tells that the sandbox has died, with all programs.
	Lost struct{ runtime.Loss }
)

func (Begin) event()    {}
func (Add) event()      {}
func (Tick) event()     {}
func (Started) event()  {}
func (Exited) event()   {}
func (Cleared) event()  {}
func (HookDone) event() {}
func (Probed) event()   {}
func (Wrote) event()    {}
func (Noticed) event()  {}
func (Restart) event()  {}
func (Stop) event()     {}
func (Lost) event()     {}

// Failure is why a program did not start.
type Failure struct {
	// ExitCode: 127 not found, 126 not executable, 128 for the rest.
	ExitCode int
	Message  string
}

// Hook is one of a container's lifecycle hooks.
type Hook string

// The hooks.
const (
	PostStart Hook = "PostStart"
	PreStop   Hook = "PreStop"
)

// ProbeKind is one of a container's probes.
type ProbeKind string

// The probes, as events name them.
const (
	Startup   ProbeKind = "Startup"
	Liveness  ProbeKind = "Liveness"
	Readiness ProbeKind = "Readiness"
)

// Action is something to do. Doing must not wait for the end of it: that comes
// back as an event.
type Action interface{ action() }

type (
	// Start a program; Started answers, and after a success Exited and Cleared.
	Start struct{ Ref }
	// Abort a Start that has not been answered.
	Abort struct{ Ref }
	// Signal a program; with All everything in its container.
	Signal struct {
		Ref
		Signal int
		All    bool
	}
	// RunHook runs a hook; HookDone answers.
	RunHook struct {
		Ref
		Hook Hook
	}
	// CancelHook ends a hook that runs; its answer is ignored.
	CancelHook struct {
		Ref
		Hook Hook
	}
	// Probe asks a container once; Probed answers.
	Probe struct {
		Ref
		Kind ProbeKind
	}
)

func (Start) action()      {}
func (Abort) action()      {}
func (Signal) action()     {}
func (RunHook) action()    {}
func (CancelHook) action() {}
func (Probe) action()      {}
