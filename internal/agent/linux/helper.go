package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/linux/inside"
	"cis/internal/agent/runtime"
	"cis/internal/osthread"
)

// helper is a process that becomes a program in a container (see package inside).
type helper struct {
	process *os.Process
	control *net.UnixConn
}

// newContainer starts a helper that becomes the first program of a new container, in
// the group. Its PID namespace is that of another container, or a new one without.
func (r *Runtime) newContainer(group string, in *container) (*helper, error) {
	cmd := exec.Command(r.toolPath(), "contain", r.conf.stageDir())
	if in == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		return r.help(cmd, group, nil)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	pidfd, err := in.open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(pidfd)
	return r.help(cmd, group, enterProcesses(pidfd))
}

// newProgram starts a helper that becomes one more program of a container.
func (r *Runtime) newProgram(c *container, pidfd int) (*helper, error) {
	return r.help(exec.Command(r.toolPath(), "join"), c.group, enterProcesses(pidfd))
}

// open opens the main program of a container, as a pidfd.
func (c *container) open() (pidfd int, err error) {
	if pidfd, err = unix.PidfdOpen(c.main.process.Pid, 0); err != nil {
		return -1, notRunning(c.name)
	}
	return pidfd, nil
}

// enterProcesses has what is started next begin in the PID namespace of a process.
func enterProcesses(pidfd int) func() error {
	return func() error { return unix.Setns(pidfd, unix.CLONE_NEWPID) }
}

// help starts a helper on a thread of its own, which enters namespaces before.
func (r *Runtime) help(cmd *exec.Cmd, group string, enter func() error) (*helper, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd.Env = []string{} // nothing of ours
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.null, r.null, r.null
	cmd.ExtraFiles = []*os.File{theirs}
	err = osthread.Do(func() error {
		if enter != nil {
			if err := enter(); err != nil {
				return fmt.Errorf("enter the container: %w", err)
			}
		}
		return r.groups.Start(cmd, group)
	})
	if err != nil {
		ours.Close()
		return nil, err
	}
	return &helper{process: cmd.Process, control: ours}, nil
}

func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "helper")
	file := os.NewFile(uintptr(fds[0]), "helper")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}

// await returns when a helper for a new container waits for its order.
func (h *helper) await(ctx context.Context) error {
	stop := h.within(ctx)
	defer stop()
	word := make([]byte, 1)
	_, err := io.ReadFull(h.control, word)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("wait for the container: %w", err)
	case word[0] != inside.Ready:
		rest, _ := io.ReadAll(io.LimitReader(h.control, maxComplaint))
		return complaint(append(word, rest...))
	}
	return nil
}

// order makes the helper a program, and returns when it is that.
func (h *helper) order(ctx context.Context, o inside.Order, files ...int) error {
	defer h.control.Close()
	stop := h.within(ctx)
	defer stop()
	err := inside.Send(h.control, o, files...)
	// What it has to say tells more than a failure to write to it.
	words, readErr := io.ReadAll(io.LimitReader(h.control, maxComplaint))
	if len(words) > 0 && words[0] == inside.Ready {
		words = words[1:]
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(words) > 0:
		return complaint(words)
	}
	return errors.Join(err, readErr)
}

// within lets the control socket fail when ctx ends.
func (h *helper) within(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { h.control.SetDeadline(time.Unix(1, 0)) })
}

// dismiss ends a helper that has become nothing.
func (h *helper) dismiss() {
	h.control.Close()
	h.process.Kill()
	h.process.Wait()
}

// maxComplaint bounds what is read of a helper's words, in bytes.
const maxComplaint = 4096

func complaint(words []byte) error {
	return errors.New(string(bytes.ToValidUTF8(words, nil)))
}

// numbers are the descriptors of the standard streams.
func numbers(files [3]*os.File) []int {
	return []int{int(files[0].Fd()), int(files[1].Fd()), int(files[2].Fd())}
}

// streams are the standard streams; a terminal is all three.
func streams(s runtime.Stdio) [3]*os.File {
	if s.Terminal != nil {
		return [3]*os.File{s.Terminal, s.Terminal, s.Terminal}
	}
	return [3]*os.File{s.Stdin, s.Stdout, s.Stderr}
}
