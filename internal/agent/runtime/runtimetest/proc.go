package runtimetest

import (
	"context"
	"fmt"
	"os"
	"sync"

	"cis/internal/agent/runtime"

	"golang.org/x/sys/unix"
)

// Program is what a program does; the result is its exit code. When the program is
// killed its files are closed under it, and Killed ends.
type Program func(p *Proc) int

// Proc is a running program.
type Proc struct {
	Args, Env []string
	// Stdin, Stdout and Stderr are all the terminal where there is one.
	Stdin, Stdout, Stderr *os.File

	mu       sync.Mutex
	catches  map[int]chan int
	files    []*os.File
	ended    chan struct{}
	exit     runtime.Exit
	onEnd    func()
	onDelete func()
	over     bool
}

func newProc(args, env []string, s runtime.Stdio) (*Proc, error) {
	p := &Proc{Args: args, Env: env, catches: map[int]chan int{}, ended: make(chan struct{})}
	if s.Terminal != nil {
		s.Stdin, s.Stdout, s.Stderr = s.Terminal, s.Terminal, s.Terminal
	}
	for _, f := range []struct {
		from *os.File
		to   **os.File
	}{{s.Stdin, &p.Stdin}, {s.Stdout, &p.Stdout}, {s.Stderr, &p.Stderr}} {
		fd, err := unix.FcntlInt(f.from.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("duplicate stdio: %w", err)
		}
		unix.SetNonblock(fd, true) // so that Close ends a read
		*f.to = os.NewFile(uintptr(fd), f.from.Name())
		p.files = append(p.files, *f.to)
	}
	return p, nil
}

func (p *Proc) run(program Program) { p.end(runtime.Exit{Code: program(p)}) }

// end ends the program once; later ends do nothing.
func (p *Proc) end(e runtime.Exit) {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.over, p.exit = true, e
	for _, f := range p.files {
		f.Close()
	}
	onEnd := p.onEnd
	p.mu.Unlock()
	if onEnd != nil {
		onEnd()
	}
	close(p.ended)
}

func (p *Proc) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// Catch gives the program signals of a kind instead of ending it.
func (p *Proc) Catch(signal int) <-chan int {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := make(chan int, 16)
	p.catches[signal] = c
	return c
}

// Killed ends with the program.
func (p *Proc) Killed() <-chan struct{} { return p.ended }

// Wait implements runtime.Process.
func (p *Proc) Wait() (runtime.Exit, error) {
	<-p.ended
	return p.exit, nil
}

// Signal implements runtime.Process.
func (p *Proc) Signal(_ context.Context, signal int, all bool) error {
	p.mu.Lock()
	over, caught := p.over, p.catches[signal]
	p.mu.Unlock()
	switch {
	case over:
		return os.ErrProcessDone
	case signal == int(unix.SIGKILL):
		p.end(runtime.Exit{Code: 128 + signal, Signal: signal})
	case caught != nil:
		select {
		case caught <- signal:
		default:
		}
	case signal == int(unix.SIGWINCH), signal == int(unix.SIGCHLD), signal == int(unix.SIGCONT):
	default:
		p.end(runtime.Exit{Code: 128 + signal, Signal: signal})
	}
	return nil
}

// Delete implements runtime.Process.
func (p *Proc) Delete(context.Context) error {
	if p.onDelete != nil {
		p.onDelete()
	}
	return nil
}
