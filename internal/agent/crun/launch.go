package crun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cis/internal/agent/runtime"
)

// launch is one start of a program by crun.
type launch struct {
	// args of crun, without the container's name.
	args []string
	// reports: the program is begun by "cis-pause start", which tells on a pipe why
	// it could not be.
	reports bool
	// files are the program's standard streams.
	files [3]*os.File
}

// standard are the standard streams; a terminal is all three.
func standard(s runtime.Stdio) [3]*os.File {
	if s.Terminal != nil {
		return [3]*os.File{s.Terminal, s.Terminal, s.Terminal}
	}
	return [3]*os.File{s.Stdin, s.Stdout, s.Stderr}
}

// launch starts a program and returns when it runs.
func (c *container) launch(ctx context.Context, l launch) (*program, error) {
	dir, err := os.MkdirTemp(c.r.conf.bundle(c.id), "launch")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	words, report, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer words.Close()
	p, err := c.begin(dir, l, report)
	report.Close()
	if err != nil || !l.reports {
		return p, err
	}
	if err := refusal(ctx, words); err != nil {
		p.process.Kill()
		<-p.ended
		return nil, err
	}
	return p, nil
}

// begin runs crun and takes over the program that it leaves. One at a time: a helper
// that has died is known as one by there being no other crun.
func (c *container) begin(dir string, l launch, report *os.File) (*program, error) {
	c.r.launching.Lock()
	defer c.r.launching.Unlock()
	defer c.r.reapHelpers()
	if err := c.crun(dir, l, report); err != nil {
		return nil, err
	}
	pid, err := readPid(pidFile(dir))
	if err != nil {
		return nil, err
	}
	// A helper of crun may still be its parent, and ends at once.
	if parent := stat(pid).parent; parent != os.Getpid() {
		unix.Wait4(parent, nil, 0, nil)
	}
	return c.adopt(pid)
}

func pidFile(dir string) string { return filepath.Join(dir, "pid") }
func logFile(dir string) string { return filepath.Join(dir, "log") }

// crun runs crun, which ends when the program is begun. The program inherits its
// files: the standard streams, cis-pause and the pipe of the report.
func (c *container) crun(dir string, l launch, report *os.File) error {
	args := []string{"--root=" + c.r.conf.stateDir(), "--cgroup-manager=cgroupfs", "--log=" + logFile(dir), "--log-format=json"}
	args = append(append(args, l.args...), "--detach", "--pid-file="+pidFile(dir), "--preserve-fds=2", c.id)
	// It is not ended with the caller: a killed crun would leave a program of which
	// nobody knows.
	cmd := exec.Command(c.r.crunPath(), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = l.files[0], l.files[1], l.files[2]
	cmd.ExtraFiles = []*os.File{c.r.tool, report}
	cmd.Env = []string{} // nothing of ours
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		if words := complaint(logFile(dir)); words != "" {
			return fmt.Errorf("crun: %s", words)
		}
	}
	if err != nil {
		return fmt.Errorf("crun: %w", err)
	}
	return nil
}

// complaint is the last error in a log of crun, with the words of the system as Go
// writes them.
func complaint(log string) string {
	data, _ := os.ReadFile(log)
	var last string
	for line := range bytes.Lines(data) {
		var entry struct{ Msg, Level string }
		if json.Unmarshal(line, &entry) == nil && entry.Level == "error" {
			last = entry.Msg
		}
	}
	if at := strings.LastIndex(last, ": "); at >= 0 {
		last = last[:at] + strings.ToLower(last[at:])
	}
	return last
}

// refusal waits until cis-pause has become the program, or has told why not.
func refusal(ctx context.Context, words *os.File) error {
	stop := context.AfterFunc(ctx, func() { words.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	text, err := io.ReadAll(io.LimitReader(words, 4096))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	case len(text) > 0:
		return errors.New(string(bytes.ToValidUTF8(text, nil)))
	}
	return nil
}

func readPid(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

func writeJSON(path string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
