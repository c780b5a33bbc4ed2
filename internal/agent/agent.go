// Package agent supervises one instance: it runs the containers of one workload
// through a runtime.Runtime, keeps their output, and answers the engine over ttrpc.
// What happens when is decided in package lifecycle; here it is done.
//
// It keeps no state over its own end: when the agent goes, so does the instance.
// Its memory is bounded whatever the programs do: output goes to files of limited
// size, events and messages are cut.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"

	"github.com/containerd/ttrpc"
)

// DefaultLogLimit is how much output of one attempt is kept, in bytes.
const DefaultLogLimit = 64 << 20

// Options of an agent.
type Options struct {
	// StateDir is where journals are kept. It exists.
	StateDir string
	// ProbeHost is the address that HTTP and TCP probes and hooks ask. Empty: the
	// workload's own address.
	ProbeHost string
	// LogLimit bounds the journal of one attempt. Zero: DefaultLogLimit. Those of
	// the latest two attempts of every container are kept.
	LogLimit int64
	Log      *slog.Logger
}

// Agent implements agentpb.AgentService.
type Agent struct {
	rt    runtime.Runtime
	opts  Options
	ctx   context.Context
	board *board

	running sync.Mutex // held by Run
	putting sync.Mutex // held by SetFiles
	mu      sync.Mutex
	sup     *supervisor // nil until a workload runs
}

// New makes an agent that waits for its workload. It works until ctx ends; what
// runs in the sandbox then is left to the sandbox's owner.
func New(ctx context.Context, rt runtime.Runtime, o Options) *Agent {
	if o.LogLimit == 0 {
		o.LogLimit = DefaultLogLimit
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{rt: rt, opts: o, ctx: ctx, board: newBoard()}
	go a.watchIdle()
	return a
}

// Serve answers on a listener until the agent's context ends.
func (a *Agent) Serve(l net.Listener) error {
	srv, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	agentpb.RegisterAgentService(srv, a)
	stop := context.AfterFunc(a.ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(a.ctx, &listener{l}); !errors.Is(err, ttrpc.ErrServerClosed) {
		return err
	}
	return nil
}

// watchIdle tells of a sandbox that dies before it has a workload.
func (a *Agent) watchIdle() {
	select {
	case <-a.rt.Lost():
	case <-a.ctx.Done():
		return
	}
	a.running.Lock()
	defer a.running.Unlock()
	if a.supervisor() == nil {
		a.board.publish(lostIdle(a.rt.Cause()))
	}
}

func (a *Agent) supervisor() *supervisor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sup
}
