package agent

import (
	"context"
	"fmt"
	"sync"
	"syscall"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/agent/stream"
	"cis/internal/journal"
)

// exec runs one more program in a container, for as long as its caller stays.
func (a *Agent) exec(ctx context.Context, s *stream.Stream, req *agentpb.ExecStart) (int, error) {
	if len(req.Args) == 0 {
		return 0, api.FieldError("command", "no command to run")
	}
	if _, err := a.runningNow(req.Container); err != nil {
		return 0, err
	}
	io, err := newStdio(req.TTY, req.Stdin)
	if err != nil {
		return 0, err
	}
	defer io.closeOurs()
	defer io.closeProgram()
	if req.TTY {
		if err := resize(io.out, req.Width, req.Height); err != nil {
			return 0, err
		}
	}
	p, err := a.rt.Exec(ctx, req.Container, req, io.program)
	if err != nil {
		return a.cannotRun(s, err)
	}
	if !req.TTY {
		io.closeProgram()
	}
	s.Send(&agentpb.Frame{Started: true})
	go feed(ctx, s, p, io, req)

	alive, died := context.WithCancel(context.Background())
	var pumps sync.WaitGroup
	pumps.Go(func() { pump(alive, io.out, sendTo(s, journal.Stdout)) })
	if io.err != nil {
		pumps.Go(func() { pump(alive, io.err, sendTo(s, journal.Stderr)) })
	}
	exit, err := waitOrKill(ctx, p, syscall.SIGHUP)
	io.closeProgram()
	died()
	pumps.Wait()
	return exit.Code, err
}

// cannotRun ends an exec whose command does not start: as in a shell, with the
// cause on standard error and 126 or 127, unless the fault is ours.
func (a *Agent) cannotRun(s *stream.Stream, err error) (int, error) {
	code := startCode(err)
	if code == 128 {
		return 0, err
	}
	return code, s.Send(&agentpb.Frame{Stream: journal.Stderr, Data: fmt.Appendf(nil, "%v\n", err)})
}

func sendTo(s *stream.Stream, number uint32) func([]byte) error {
	return func(b []byte) error { return s.Send(&agentpb.Frame{Stream: number, Data: b}) }
}

// feed takes the caller's input and window sizes until the call is over.
func feed(ctx context.Context, s *stream.Stream, p runtime.Process, io *stdio, req *agentpb.ExecStart) {
	var in *input
	if req.Stdin {
		in = newInput(io.in, req.TTY)
	}
	for {
		f, err := s.Recv()
		if err != nil {
			in.close()
			return
		}
		if req.TTY && f.Width > 0 {
			resizeProgram(ctx, p, io, f)
		}
		if len(f.Data) > 0 {
			in.write(ctx, f.Data)
		}
		if f.Eof {
			in.close()
		}
	}
}

// resizeProgram tells the terminal, and the program itself: the kernel of a sandbox
// may not pass the terminal's signal on.
func resizeProgram(ctx context.Context, p runtime.Process, io *stdio, f *agentpb.Frame) {
	if resize(io.out, uint16(f.Width), uint16(f.Height)) == nil {
		p.Signal(ctx, int(syscall.SIGWINCH), false)
	}
}
