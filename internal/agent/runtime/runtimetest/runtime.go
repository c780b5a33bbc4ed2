// Package runtimetest is a runtime.Runtime without a sandbox, for tests: programs
// are Go functions, which get real pipes and terminals, signals, and ends.
package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
	"cis/internal/agent/runtime"
)

// Runtime implements runtime.Runtime. Its zero value does not work; see New.
type Runtime struct {
	mu         sync.Mutex
	programs   map[string]Program
	workload   *agentpb.Workload
	containers map[string]*container
	ports      map[uint16]func(net.Conn)
	files      map[string][]fileset.File
	prepareErr error
	startDelay time.Duration
	settled    bool
	lost       chan struct{}
	loss       runtime.Loss
}

// container is what runs under one name: the main program first.
type container struct {
	procs []*Proc
	files map[string][]byte
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a runtime that knows the programs of Builtin.
func New() *Runtime {
	r := &Runtime{
		programs: Builtin(), containers: map[string]*container{}, ports: map[uint16]func(net.Conn){},
		files: map[string][]fileset.File{},
		lost:  make(chan struct{}),
	}
	return r
}

// Handle adds a program by its name, which is Args[0].
func (r *Runtime) Handle(name string, p Program) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.programs[name] = p
}

// Listen answers a port.
func (r *Runtime) Listen(port uint16, serve func(net.Conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ports[port] = serve
}

// FailPrepare lets Prepare fail; nil lets it work again.
func (r *Runtime) FailPrepare(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prepareErr = err
}

// DelayStarts makes every Start take a time, unless its context ends.
func (r *Runtime) DelayStarts(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startDelay = d
}

// Lose ends the sandbox: its programs first, as with a real one.
func (r *Runtime) Lose(l runtime.Loss) {
	r.mu.Lock()
	r.loss = l
	all := r.running()
	r.mu.Unlock()
	for _, p := range all {
		p.end(runtime.Exit{Code: 137, Signal: 9})
	}
	time.Sleep(10 * time.Millisecond)
	close(r.lost)
}

// OOM ends a container's main program as the kernel does for want of memory.
func (r *Runtime) OOM(name string) {
	if p := r.main(name); p != nil {
		p.end(runtime.Exit{Code: 137, Signal: 9, OOMKilled: true})
	}
}

// Settle implements runtime.Runtime.
func (r *Runtime) Settle() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = true
	return nil
}

// Settled tells whether Settle was called.
func (r *Runtime) Settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled
}

// Running counts the programs that run, of all containers.
func (r *Runtime) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.running())
}

func (r *Runtime) running() []*Proc {
	var all []*Proc
	for _, c := range r.containers {
		for _, p := range c.procs {
			if !p.hasEnded() {
				all = append(all, p)
			}
		}
	}
	return all
}

func (r *Runtime) main(name string) *Proc {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[name]; c != nil && len(c.procs) > 0 && !c.procs[0].hasEnded() {
		return c.procs[0]
	}
	return nil
}

// Workload is what Prepare was given last.
func (r *Runtime) Workload() *agentpb.Workload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workload
}

// Prepare implements runtime.Runtime.
func (r *Runtime) Prepare(_ context.Context, w *agentpb.Workload) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.prepareErr != nil {
		return r.prepareErr
	}
	r.workload = w
	return nil
}

// Resize implements runtime.Runtime.
func (r *Runtime) Resize(_ context.Context, memory api.Bytes) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workload == nil {
		return errors.New("resize before Prepare")
	}
	w := *r.workload
	w.Memory = memory
	r.workload = &w
	return nil
}

// SetFiles implements runtime.Runtime.
func (r *Runtime) SetFiles(_ context.Context, volume string, files []fileset.File) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[volume] = files
	return nil
}

// Volume is what was put into one.
func (r *Runtime) Volume(name string) []fileset.File {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[name]
}

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, c *agentpb.Container, stdio runtime.Stdio) (runtime.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workload == nil {
		return nil, fmt.Errorf("start %s before Prepare", c.Name)
	}
	if r.containers[c.Name] != nil {
		return nil, fmt.Errorf("start %s: it exists", c.Name)
	}
	if d := r.startDelay; d > 0 {
		r.mu.Unlock()
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		r.mu.Lock()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	made := &container{files: map[string][]byte{}}
	p, err := r.launch(made, c.Args, c.Env, stdio, func(p *Proc) {
		p.onEnd = func() { r.endExecs(made) }
		p.onDelete = func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.containers, c.Name)
		}
	})
	if err == nil {
		r.containers[c.Name] = made
	}
	return p, err
}

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, name string, e *agentpb.ExecStart, stdio runtime.Stdio) (runtime.Process, error) {
	if r.main(name) == nil {
		return nil, fmt.Errorf("exec in %s: not running", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.launch(r.containers[name], e.Args, e.Env, stdio, func(*Proc) {})
}

// launch runs a program in a container. The caller holds mu.
func (r *Runtime) launch(c *container, args, env []string, stdio runtime.Stdio, with func(*Proc)) (runtime.Process, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("no command")
	}
	program := r.programs[args[0]]
	if program == nil {
		return nil, fmt.Errorf("exec: %q: executable file not found in $PATH", args[0])
	}
	p, err := newProc(args, env, stdio)
	if err != nil {
		return nil, err
	}
	with(p)
	c.procs = append(c.procs, p)
	go p.run(program)
	return p, nil
}

// endExecs ends what a container's main program leaves behind.
func (r *Runtime) endExecs(c *container) {
	r.mu.Lock()
	procs := slices.Clone(c.procs)
	r.mu.Unlock()
	for _, p := range procs {
		p.end(runtime.Exit{Code: 137, Signal: 9})
	}
}

// Dial implements runtime.Runtime.
func (r *Runtime) Dial(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	r.mu.Lock()
	serve := r.ports[to.Port()]
	r.mu.Unlock()
	if serve == nil {
		return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	go serve(theirs)
	return ours, nil
}

// Try implements runtime.Runtime: port 1 answers nothing, others are connected.
func (r *Runtime) Try(_ context.Context, udp bool, to netip.AddrPort, _ time.Duration) (result, detail string, err error) {
	switch {
	case to.Port() == 1:
		return "no answer", "i/o timeout", nil
	case udp:
		return "answered", "", nil
	}
	return "connected", "", nil
}

// Stats implements runtime.Runtime: each program counts as one process, and uses nothing.
func (r *Runtime) Stats(context.Context) (*agentpb.StatsResponse, error) {
	return &agentpb.StatsResponse{Pids: int64(r.Running())}, nil
}

// Lost implements runtime.Runtime.
func (r *Runtime) Lost() <-chan struct{} { return r.lost }

// Cause implements runtime.Runtime.
func (r *Runtime) Cause() runtime.Loss {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loss
}
