package runsc

import (
	"context"
	"fmt"
	"os"
	"sync"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/caps"
	"cis/internal/agent/runtime"
)

// execArgs is runsc's control.ExecArgs. With one file more than GuestFDs, the last
// file is the program.
type execArgs struct {
	Filename         string   `json:"filename"`
	Argv             []string `json:"argv"`
	Envv             []string `json:"envv"`
	WorkingDirectory string   `json:"wd"`
	KUID             uint32
	KGID             uint32
	ExtraKGIDs       []uint32
	NoNewPrivileges  bool
	Capabilities     *taskCapabilities
	StdioIsPty       bool
	GuestFDs         []int
	ContainerID      string
}

// taskCapabilities is runsc's auth.TaskCapabilities.
type taskCapabilities struct {
	PermittedCaps, EffectiveCaps, BoundingCaps uint64
}

// capabilitySet is the set of capabilities with these names.
func capabilitySet(names []string) (*taskCapabilities, error) {
	mask, err := caps.Mask(names)
	if err != nil {
		return nil, err
	}
	return &taskCapabilities{PermittedCaps: mask, EffectiveCaps: mask, BoundingCaps: mask}, nil
}

// process is a program started in a running container.
type process struct {
	sandbox *Sandbox
	args    execArgs
	pid     int32

	stopKeyboard func()

	mu   sync.Mutex
	over bool
}

// Exec implements runtime.Runtime.
func (s *Sandbox) Exec(ctx context.Context, name string, e *agentpb.ExecStart, stdio runtime.Stdio) (runtime.Process, error) {
	c, err := s.running(name)
	if err != nil {
		return nil, err
	}
	set, err := capabilitySet(c.spec.Capabilities)
	if err != nil {
		return nil, err
	}
	args := execArgs{
		ContainerID: c.id, Argv: e.Args, WorkingDirectory: c.spec.Cwd,
		Envv: append(append([]string{}, c.spec.Env...), e.Env...),
		KUID: c.spec.UID, KGID: c.spec.GID, ExtraKGIDs: c.spec.Groups,
		Capabilities: set, NoNewPrivileges: c.spec.NoNewPrivileges,
	}
	if e.Cwd != "" {
		args.WorkingDirectory = e.Cwd
	}
	if e.User != nil {
		args.KUID, args.KGID, args.ExtraKGIDs = e.User.UID, e.User.GID, e.User.Groups
	}
	files := []*os.File{stdio.Stdin, stdio.Stdout, stdio.Stderr}
	if stdio.Terminal != nil {
		args.StdioIsPty = true
		files = []*os.File{stdio.Terminal, stdio.Terminal, stdio.Terminal}
	}
	p, err := s.exec(ctx, args, nil, files...)
	if err != nil {
		return nil, fmt.Errorf("exec in %s: %w", name, err)
	}
	p.stopKeyboard = s.keyboard(stdio.Terminal, c.id, p.pid)
	return p, nil
}

func (s *Sandbox) running(name string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[name]
	if c == nil {
		return nil, notRunning(name)
	}
	return c, nil
}

// exec starts a program with the files as its descriptors from 0 on. The program
// itself may come as a file of the host.
func (s *Sandbox) exec(ctx context.Context, args execArgs, program *os.File, files ...*os.File) (*process, error) {
	for i := range files {
		args.GuestFDs = append(args.GuestFDs, i)
	}
	if program != nil {
		files = append(files, program)
	}
	p := &process{sandbox: s, args: args, stopKeyboard: func() {}}
	if err := s.control.call(ctx, methodExec, args, &p.pid, files...); err != nil {
		return nil, err
	}
	return p, nil
}

// Wait implements runtime.Process.
func (p *process) Wait() (runtime.Exit, error) {
	defer p.stopKeyboard()
	exit, err := p.sandbox.waitFor(methodWaitPID, struct {
		PID int32
		CID string
	}{p.pid, p.args.ContainerID})
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	return exit, err
}

// Signal implements runtime.Process. Once the program has ended its number may
// be another's.
func (p *process) Signal(ctx context.Context, signal int, all bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return fmt.Errorf("signal exec: the program has ended")
	}
	args := signalArgs{
		CID: p.args.ContainerID, Signo: int32(signal), PID: p.pid,
		Mode: signalMode(all),
	}
	if all {
		args.PID = 0
	}
	if err := p.sandbox.control.call(ctx, methodSignal, args, nil); err != nil {
		return fmt.Errorf("signal exec: %w", err)
	}
	return nil
}

// Delete implements runtime.Process: gVisor forgets an exec when it was waited for.
func (p *process) Delete(context.Context) error { return nil }
