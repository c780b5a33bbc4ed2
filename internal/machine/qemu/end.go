package qemu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
)

// explain adds to an error of a VM what is known of it: the words of its kernel, or
// those of a QEMU that has ended.
func (m *Machine) explain(ctx context.Context, v *vm, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	text, asked := m.console(ctx, v.id)
	if asked == nil && text != "" {
		return fmt.Errorf("%w; the console's last lines: %s", err, lastLines(text))
	}
	if log, _ := os.ReadFile(m.logFile(v.id)); asked != nil && len(log) > 0 {
		return fmt.Errorf("%w; QEMU said: %s", err, tail(string(log)))
	}
	return err
}

// absent is the error for a sandbox that is gone.
func absent(id string, err error) error {
	return &api.Error{Code: api.NotFound, Message: fmt.Sprintf("sandbox %s does not exist", id), Err: err,
		Next: "the sandbox is gone; the engine makes a new one where the instance may restart"}
}

// lost is the error for a sandbox that has ended by itself, with the cause if that
// was seen.
func (m *Machine) lost(id string, err error) error {
	if cause, _ := os.ReadFile(m.causeFile(id)); len(cause) > 0 {
		return &api.Error{Code: api.NotFound, Message: string(cause), Err: err}
	}
	if kills, _ := m.cgroups.OOMKills(m.group(id)); kills > 0 {
		return &api.Error{Code: api.NotFound, Message: "QEMU was ended for want of memory", Err: err}
	}
	if _, err := os.Stat(m.dir(id)); err != nil {
		return absent(id, err)
	}
	message := "the VM has ended"
	if log, _ := os.ReadFile(m.logFile(id)); len(log) > 0 {
		message += "; QEMU said: " + tail(string(log))
	}
	return &api.Error{Code: api.NotFound, Message: message, Err: err}
}

func (m *Machine) causeFile(id string) string { return filepath.Join(m.dir(id), "cause") }

// condemn ends a VM that is of no use any more, with the cause for lost.
func (m *Machine) condemn(id, cause string) {
	m.conf.Log.Warn("a VM is ended", "sandbox", id, "because", cause)
	err := errors.Join(os.WriteFile(m.causeFile(id), []byte(cause), 0o600), m.cgroups.Signal(m.group(id), unix.SIGKILL))
	if err != nil {
		m.conf.Log.Error("a VM cannot be ended", "sandbox", id, "error", err)
	}
}

const (
	// heartbeat is between two questions to QEMU whether it still answers.
	heartbeat = 500 * time.Millisecond
	// silence is how long it may not answer.
	silence = time.Second
)

// watched is a connection that ends with its VM.
type watched struct {
	net.Conn
	stop context.CancelFunc
}

// Close implements net.Conn.
func (w *watched) Close() error {
	w.stop()
	return w.Conn.Close()
}

// watch looks after a VM until ctx ends: it ends one whose kernel has stopped, and
// one whose QEMU does nothing any more.
func (m *Machine) watch(ctx context.Context, id string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(heartbeat):
		}
		if m.isPaused(id) {
			continue
		}
		before, _ := m.cgroups.Usage(m.group(id))
		status, err := m.status(ctx, id)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errSilent):
			// A busy host can keep it from answering; then it still uses what cpu it gets.
			if after, err := m.cgroups.Usage(m.group(id)); err == nil && after.CPUSeconds == before.CPUSeconds && !m.isPaused(id) {
				m.condemn(id, "the VM stands still: QEMU does not answer")
				return
			}
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED):
			return // it has ended, which the connection tells
		case stopped(status):
			m.condemn(id, m.lastWords(ctx, id))
			return
		}
	}
}

// stopped tells whether a guest's kernel has come to its end: QEMU then waits to be
// asked about it (see -action in args.go).
func stopped(status string) bool {
	return status == "shutdown" || status == "guest-panicked" || status == "internal-error"
}

var errKernelStopped = errors.New("the guest's kernel has stopped")

var errSilent = errors.New("QEMU does not answer")

// status asks how the guest is.
func (m *Machine) status(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, silence, errSilent)
	defer cancel()
	q, err := dialQMP(ctx, m.socket(id, controlSocket))
	if err != nil {
		return "", err
	}
	defer q.close()
	return q.status(ctx)
}

// lastWords are the cause of a guest's end: what its kernel said.
func (m *Machine) lastWords(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	text, err := m.console(ctx, id)
	if err != nil || text == "" {
		return errKernelStopped.Error()
	}
	return errKernelStopped.Error() + "; the console's last lines:\n" + lastLines(text)
}

// lastLines of a console: what a kernel said before it gave up, and that it did. Where it was
// then, which it tells at length, would take the place of the cause.
func lastLines(console string) string {
	before, after, panicked := strings.Cut(console, "Kernel panic")
	if !panicked {
		return tail(console)
	}
	line, _, _ := strings.Cut(after, "\n")
	return tail(before + "Kernel panic" + line)
}
