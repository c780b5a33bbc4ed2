package runtimetest

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// DockerCaps are the capabilities of a container by default.
var DockerCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// Box is a real runtime under test, with an image that has busybox.
type Box struct {
	T       testing.TB
	Runtime runtime.Runtime
	Image   string
}

// Shell describes a container that runs a script.
func (b *Box) Shell(name, script string) *agentpb.Container {
	return &agentpb.Container{
		Name: name, Rootfs: b.Image, Args: []string{"/bin/sh", "-c", script}, Cwd: "/",
		Env: []string{"PATH=/bin"}, Capabilities: DockerCaps,
	}
}

// Sh is an exec of a script.
func Sh(script string) *agentpb.ExecStart {
	return &agentpb.ExecStart{Args: []string{"/bin/sh", "-c", script}}
}

// Running is a started program with what it writes.
type Running struct {
	runtime.Process
	Stdin  *os.File
	t      testing.TB
	output chan string
}

// Streams makes pipes, hands them to start, and collects both outputs.
func Streams(t testing.TB, start func(runtime.Stdio) (runtime.Process, error)) (*Running, error) {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer inRead.Close()
	defer outWrite.Close()
	p, err := start(runtime.Stdio{Stdin: inRead, Stdout: outWrite, Stderr: outWrite})
	if err != nil {
		inWrite.Close()
		outRead.Close()
		return nil, err
	}
	r := &Running{t: t, Process: p, Stdin: inWrite, output: make(chan string, 1)}
	go func() {
		defer outRead.Close()
		data, _ := io.ReadAll(outRead)
		r.output <- string(data)
	}()
	t.Cleanup(func() { inWrite.Close() })
	return r, nil
}

// TryBegin starts a container, which may fail.
func (b *Box) TryBegin(c *agentpb.Container) (*Running, error) {
	b.T.Helper()
	return Streams(b.T, func(s runtime.Stdio) (runtime.Process, error) { return b.Runtime.Start(b.T.Context(), c, s) })
}

// Begin starts a container or fails the test.
func (b *Box) Begin(c *agentpb.Container) *Running {
	b.T.Helper()
	r, err := b.TryBegin(c)
	if err != nil {
		b.T.Fatal(err)
	}
	return r
}

// TryExecute runs a command in a running container, which may fail.
func (b *Box) TryExecute(name string, e *agentpb.ExecStart) (*Running, error) {
	b.T.Helper()
	return Streams(b.T, func(s runtime.Stdio) (runtime.Process, error) { return b.Runtime.Exec(b.T.Context(), name, e, s) })
}

// Execute runs a command in a running container or fails the test.
func (b *Box) Execute(name string, e *agentpb.ExecStart) *Running {
	b.T.Helper()
	r, err := b.TryExecute(name, e)
	if err != nil {
		b.T.Fatal(err)
	}
	return r
}

// End waits for the end of a program, with its output.
func (r *Running) End() (runtime.Exit, string) {
	r.t.Helper()
	type result struct {
		exit runtime.Exit
		err  error
	}
	done := make(chan result, 1)
	go func() {
		exit, err := r.Wait()
		done <- result{exit, err}
	}()
	select {
	case d := <-done:
		if d.err != nil {
			r.t.Fatalf("wait: %v", d.err)
		}
		return d.exit, <-r.output
	case <-time.After(30 * time.Second):
		r.t.Fatal("the program did not end")
	}
	return runtime.Exit{}, ""
}

// Run starts a script in a container of its own, waits for it and deletes it.
func (b *Box) Run(script string) (runtime.Exit, string) {
	b.T.Helper()
	return b.RunContainer(b.Shell("main", script))
}

// RunContainer starts a container, waits for it and deletes it.
func (b *Box) RunContainer(c *agentpb.Container) (runtime.Exit, string) {
	b.T.Helper()
	r := b.Begin(c)
	exit, output := r.End()
	if err := r.Delete(b.T.Context()); err != nil {
		b.T.Fatal(err)
	}
	return exit, output
}

// Expect runs a script and compares what it writes.
func (b *Box) Expect(script, want string) {
	b.T.Helper()
	exit, got := b.Run(script)
	if strings.TrimSpace(got) != want || exit.Code != 0 {
		b.T.Errorf("%s\n gave %q (%+v)\n want %q", script, got, exit, want)
	}
}

// Ready waits until a command succeeds in a running container.
func (b *Box) Ready(name, probe string) {
	b.T.Helper()
	for range 6000 {
		if exit, _ := b.Execute(name, Sh(probe)).End(); exit.Code == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.T.Fatalf("%s: %q never held", name, probe)
}
