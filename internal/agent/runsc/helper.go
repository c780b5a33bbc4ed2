package runsc

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pause starts cis-pause once more in the root container, with these capabilities.
func (s *Sandbox) pause(ctx context.Context, args []string, capabilities *taskCapabilities, stdin, stdout, stderr *os.File) (*process, error) {
	return s.exec(ctx, execArgs{
		ContainerID: s.conf.ID, Filename: "/pause", WorkingDirectory: "/", Argv: append([]string{"pause"}, args...),
		Envv: []string{"GOMAXPROCS=1"}, Capabilities: capabilities,
	}, nil, stdin, stdout, stderr)
}

// helper is cis-pause at work in the root container, beside what it says.
type helper struct {
	process *process
	words   *os.File
}

// help starts cis-pause in the root container.
func (s *Sandbox) help(ctx context.Context, args ...string) (*helper, error) {
	words, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p, err := s.pause(ctx, args, nil, theirs, theirs, theirs)
	if err != nil {
		words.Close()
		return nil, fmt.Errorf("cis-pause %s: %w", args[0], err)
	}
	return &helper{p, words}, nil
}

// maxAnswer bounds what one says, in bytes: a sandbox may be in other hands.
const maxAnswer = 64 << 10

// answer is all that it says until its end.
func (h *helper) answer(ctx context.Context) (string, error) {
	stop := context.AfterFunc(ctx, h.dismiss)
	defer stop()
	text, readErr := io.ReadAll(io.LimitReader(h.words, maxAnswer))
	h.words.Close() // whoever goes on is ended by that
	exit, err := h.process.Wait()
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case exit.Code != 0:
		return "", fmt.Errorf("cis-pause ended with exit code %d: %s", exit.Code, text)
	}
	return string(text), readErr
}

// dismiss ends one that will have nothing to say.
func (h *helper) dismiss() {
	_ = h.process.Signal(context.Background(), int(unix.SIGKILL), false) // it fails for one that has ended
}
