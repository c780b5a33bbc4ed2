package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/journal"
)

func TestLogsFollow(t *testing.T) {
	r := newRig(t)
	step := make(chan string)
	r.rt.Handle("talk", func(p *runtimetest.Proc) int {
		for text := range step {
			fmt.Fprint(p.Stdout, text)
			fmt.Fprint(p.Stderr, strings.ToUpper(text))
		}
		return 0
	})
	r.run(api.RestartNever, container("talk"))
	r.until("running", running)
	got, seen := "", make(chan error, 1)
	progress := make(chan int, 100)
	go func() {
		seen <- r.client.Logs(t.Context(), "main", 0, 0, func(c journal.Chunk) error {
			for e := range c.Entries() {
				if e.Stream == journal.Stdout {
					got += string(e.Data)
				}
				progress <- len(e.Data)
			}
			return nil
		})
	}()
	for _, text := range []string{"one ", "two ", "three"} {
		step <- text
		for n := 0; n < 2*len(text); n += <-progress {
		}
	}
	close(step)
	if err := <-seen; err != nil || got != "one two three" {
		t.Errorf("%q: %v", got, err)
	}
}

// All of a large output is there, and the same on the replica, which is written
// from the chunks alone.
func TestLogsOfMuchOutput(t *testing.T) {
	r := newRig(t)
	const size = 20 << 20
	r.run(api.RestartNever, container("flood", fmt.Sprint(size)))
	replica, err := journal.Create(filepath.Join(t.TempDir(), "replica"), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	r.until("running", func(s agentpb.State) bool { return running(s) || s.Finished })
	if err := r.client.Logs(t.Context(), "main", 0, 0, replica.WriteAt); err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range replica.All(0) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(e.Data)
	}
	if n != size {
		t.Errorf("%d bytes of %d", n, size)
	}
	a, _ := os.ReadFile(replica.Path())
	b, _ := os.ReadFile(filepath.Join(r.dir, "main.0.log"))
	if string(a) != string(b) {
		t.Error("replica and spool differ")
	}
}

func TestLogsOfDroppedOutputJumpForward(t *testing.T) {
	r := newRig(t, func(o *agent.Options) { o.LogLimit = 1 << 20 })
	r.run(api.RestartNever, container("flood", fmt.Sprint(5<<20)))
	r.until("the end", finished)
	first := int64(-1)
	err := r.client.Logs(t.Context(), "main", 0, 0, func(c journal.Chunk) error {
		if first < 0 {
			first = c.Offset
		}
		return nil
	})
	if err != nil || first < 3<<20 {
		t.Errorf("began at %d: %v", first, err)
	}
}

// A slow reader of logs does not hold up the program, and what it gets is whole.
func TestSlowLogReader(t *testing.T) {
	r := newRig(t)
	r.run(api.RestartNever, container("flood", fmt.Sprint(8<<20)))
	r.until("running", func(s agentpb.State) bool { return running(s) || s.Finished })
	n, slept := 0, false
	err := r.client.Logs(t.Context(), "main", 0, 0, func(c journal.Chunk) error {
		if !slept {
			slept = true
			r.until("the end", finished)
			time.Sleep(1200 * time.Millisecond)
		}
		for e := range c.Entries() {
			n += len(e.Data)
		}
		return nil
	})
	if err != nil || n != 8<<20 {
		t.Errorf("%d bytes: %v", n, err)
	}
}

func TestCancelledLogs(t *testing.T) {
	r := newRig(t)
	r.run(api.RestartNever, container("sleep"))
	r.until("running", running)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.client.Logs(ctx, "main", 0, 0, nil); err != context.DeadlineExceeded {
		t.Error(err)
	}
}

// What holds the pipe open after the program's end is waited for, but not long.
func TestOutputLeftBehind(t *testing.T) {
	for _, c := range []struct {
		hold       time.Duration
		from, upTo time.Duration
	}{{200 * time.Millisecond, 200 * time.Millisecond, 900 * time.Millisecond}, {time.Minute, time.Second, 2 * time.Second}} {
		r := newRig(t)
		r.rt.Handle("leave", func(p *runtimetest.Proc) int {
			p.AfterExit(c.hold, "late")
			fmt.Fprint(p.Stdout, "early ")
			return 0
		})
		began := time.Now()
		r.run(api.RestartNever, container("leave"))
		r.until("the end", finished)
		if took := time.Since(began); took < c.from || took > c.upTo {
			t.Errorf("%s: took %s", c.hold, took)
		}
		if out, _ := r.logs("main", 0); out != "early late" {
			t.Errorf("%q", out)
		}
	}
}

func TestTerminalOutput(t *testing.T) {
	r := newRig(t)
	c := container("echo", "hello")
	c.TTY = true
	r.run(api.RestartNever, c)
	r.until("the end", finished)
	if out, err := r.logs("main", 0); out != "hello\r\n" || err != "" {
		t.Errorf("%q %q", out, err)
	}
}

func TestOutputThatCannotBeKept(t *testing.T) {
	r := newRig(t, func(o *agent.Options) { o.StateDir = filepath.Join(o.StateDir, "missing") })
	r.run(api.RestartNever, container("echo"))
	got := r.until("the end", finished).Containers[0].State.Terminated
	if got.ExitCode == 0 || got.Reason != api.ReasonRunError {
		t.Errorf("%+v", got)
	}
}

// TestLastWords: a program that fails without a message gets the end of its output for one,
// where its container wants that.
func TestLastWords(t *testing.T) {
	long := strings.Repeat("x", 2048) + " end"
	for _, test := range []struct {
		fromLogs bool
		args     []string
		want     string
	}{
		{true, []string{"fail", "3", "why"}, "why\n"},
		{true, []string{"fail", "3", long}, (long + "\n")[len(long)+1-2048:]},
		{false, []string{"fail", "3", "why"}, ""},
		{true, []string{"echo", "fine"}, ""},
	} {
		r := newRig(t)
		c := container(test.args...)
		c.MessageFromLogs = test.fromLogs
		r.run(api.RestartNever, c)
		s := r.until("the end", finished)
		if got := s.Containers[0].State.Terminated.Message; got != test.want {
			t.Errorf("%.20q: %q, want %q", test.args, got, test.want)
		}
	}
}
