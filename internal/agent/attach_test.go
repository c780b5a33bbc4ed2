package agent_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime/runtimetest"
)

func interactive(args ...string) agentpb.Container {
	c := container(args...)
	c.Stdin = true
	return c
}

func TestAttachStdinOnce(t *testing.T) {
	r := newRig(t)
	c := interactive("cat")
	c.StdinOnce = true
	started := make(chan struct{})
	result := make(chan error)
	go func() { // before the workload runs there is nothing to attach to
		<-started
		code, err := r.client.Attach(t.Context(), "main", api.Streams{Stdin: strings.NewReader("hello\n")})
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		result <- err
	}()
	r.run(api.RestartNever, c)
	close(started)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if out, _ := r.logs("main", 0); out != "hello\n" {
		t.Errorf("%q", out)
	}
	code, err := r.client.Attach(t.Context(), "main", api.Streams{}) // it has ended
	if code != 0 || err != nil {
		t.Error(code, err)
	}
}

// Without StdinOnce input outlives its clients.
func TestAttachSeveralClients(t *testing.T) {
	r := newRig(t)
	r.run(api.RestartNever, interactive("cat"))
	r.until("running", running)
	other := agentclient.New(r.dial())
	defer other.Close()
	for i, client := range []*agentclient.Client{r.client, other, r.client} {
		ctx, cancel := context.WithCancel(t.Context())
		pr, pw := io.Pipe()
		ended := make(chan error)
		go func() {
			_, err := client.Attach(ctx, "main", api.Streams{Stdin: pr})
			ended <- err
		}()
		io.WriteString(pw, string(rune('a'+i)))
		if i == 0 {
			pw.Close() // the end of one client's input is not the program's
		}
		r.waitForOutput("main", 0, "abc"[:i+1])
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		pw.Close()
	}
	r.client.Stop(t.Context(), 0, "")
	r.until("the end", finished)
}

// What a client sent before it left reaches the program.
func TestAttachLeaveLosesNoInput(t *testing.T) {
	r := newRig(t)
	r.run(api.RestartNever, interactive("cat"))
	r.until("running", running)
	for i := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		pr, pw := io.Pipe()
		ended := make(chan error)
		go func() {
			_, err := r.client.Attach(ctx, "main", api.Streams{Stdin: pr})
			ended <- err
		}()
		io.WriteString(pw, "x")
		cancel()
		pw.CloseWithError(io.ErrUnexpectedEOF)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r.waitForOutput("main", 0, strings.Repeat("x", i+1))
	}
	r.client.Stop(t.Context(), 0, "")
	r.until("the end", finished)
}

// waitForOutput waits until an attempt has written exactly a text.
func (r *rig) waitForOutput(container string, attempt int, want string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	got := ""
	done := errors.New("done")
	err := r.client.Logs(ctx, container, attempt, 0, func(c chunk) error {
		for e := range c.Entries() {
			got += string(e.Data)
		}
		if got == want {
			return done
		}
		return nil
	})
	if err != done {
		r.Fatalf("output is %q: %v", got, err)
	}
}

// A client whose connection breaks ends the input of a StdinOnce program.
func TestAttachedClientGoes(t *testing.T) {
	r := newRig(t)
	c := interactive("cat")
	c.StdinOnce = true
	r.run(api.RestartNever, c)
	r.until("running", running)
	other := agentclient.New(r.dial())
	pr, pw := io.Pipe()
	defer pw.Close()
	go other.Attach(t.Context(), "main", api.Streams{Stdin: pr})
	io.WriteString(pw, "x")
	r.waitForOutput("main", 0, "x")
	other.Close()
	r.until("the end", finished)
}

// A session stays over restarts: input and window size reach the next attempt.
func TestAttachOverARestart(t *testing.T) {
	r := newRig(t)
	r.rt.Handle("line", func(p *runtimetest.Proc) int {
		b := make([]byte, 1)
		n, _ := p.Stdin.Read(b)
		p.Stdout.Write(b[:n])
		return 1
	})
	r.run(api.RestartAlways, interactive("line"))
	pr, pw := io.Pipe()
	started := make(chan struct{}, 10)
	ended := make(chan int)
	go func() {
		code, _ := r.client.Attach(t.Context(), "main", api.Streams{
			Stdin: pr, Started: func() { started <- struct{}{} },
		})
		ended <- code
	}()
	<-started
	io.WriteString(pw, "a")
	r.until("a restart", func(s agentpb.State) bool { return running(s) && s.Containers[0].RestartCount == 1 })
	io.WriteString(pw, "b")
	r.until("back-off", func(s agentpb.State) bool { return s.Containers[0].State.Waiting != nil })
	for attempt, want := range []string{"a", "b"} {
		if out, _ := r.logs("main", attempt); out != want {
			t.Errorf("attempt %d: %q", attempt, out)
		}
	}
	r.client.Stop(t.Context(), 0, "")
	if code := <-ended; code != 1 || len(started) != 0 {
		t.Error(code, len(started))
	}
}

func TestAttachTerminal(t *testing.T) {
	r := newRig(t)
	c := interactive("winsize")
	c.TTY = true
	r.run(api.RestartNever, c)
	r.until("running", running)
	sizes := make(chan api.WindowSize)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go r.client.Attach(ctx, "main", api.Streams{Resize: sizes})
	r.waitForOutput("main", 0, "0x0\r\n")
	sizes <- api.WindowSize{Width: 100, Height: 50}
	r.waitForOutput("main", 0, "0x0\r\n100x50\r\n")
	r.client.Stop(t.Context(), 0, "")
	r.until("the end", finished)
}

func TestAttachRefusals(t *testing.T) {
	r := newRig(t)
	try := func(want api.Code, name string, stdin io.Reader) {
		t.Helper()
		_, err := r.client.Attach(t.Context(), name, api.Streams{Stdin: stdin})
		code(t, want, err)
	}
	try(api.Conflict, "main", nil)
	r.runWorkload(&agentpb.Workload{
		ID: "w", InitContainers: []agentpb.Container{{Name: "init", Args: []string{"sleep"}}},
		Containers: []agentpb.Container{container("sleep")},
	})
	try(api.NotFound, "other", nil)
	try(api.Conflict, "main", strings.NewReader("")) // has no stdin
	go func() {
		time.Sleep(20 * time.Millisecond)
		r.client.Stop(t.Context(), 0, "")
	}()
	try(api.Conflict, "main", nil) // waits, and was never started
}
