package supervise

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var quick = Options{
	MinDelay: 10 * time.Millisecond, MaxDelay: 40 * time.Millisecond, Reset: time.Hour,
	Tries: 3, Patience: time.Minute, Interval: 5 * time.Millisecond, Grace: time.Minute,
}

// buffer is an io.Writer for several programs.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) words() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Fields(b.b.String())
}

// script is a program that is ready once its file is there.
func script(t *testing.T, log io.Writer, name, text string) Process {
	file := filepath.Join(t.TempDir(), "ready")
	return Process{Name: name, Log: log, Prepare: func() (Run, error) {
		// What an earlier run has said does not count.
		if err := os.RemoveAll(file); err != nil {
			return Run{}, err
		}
		return Run{
			Path: "/bin/sh", Args: []string{"-c", text}, Env: []string{"NAME=" + name, "READY=" + file},
			Ready: func(context.Context) error {
				_, err := os.Stat(file)
				return err
			},
		}, nil
	}}
}

// obedient says when it starts and when it stops.
const obedient = `trap 'sleep 0.05; echo -$NAME; exit 0' TERM; echo +$NAME; sleep 0.05; : >$READY; while :; do sleep 0.01; done`

func TestOrder(t *testing.T) {
	var log buffer
	g := NewGroup(quick,
		[]Process{script(t, &log, "a", obedient)},
		[]Process{script(t, &log, "b", obedient)},
		[]Process{script(t, &log, "c", obedient)},
	)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range g.Status() {
		if s.State != Ready || s.PID == 0 || s.Restarts != 0 {
			t.Errorf("after the start: %+v", s)
		}
	}
	g.Stop()
	if got, want := log.words(), strings.Fields("+a +b +c -c -b -a"); !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	for _, s := range g.Status() {
		if s.State != Stopped || s.PID != 0 {
			t.Errorf("after the stop: %+v", s)
		}
	}
}

func TestStartsAnewWhatDies(t *testing.T) {
	var log buffer
	g := NewGroup(quick, []Process{script(t, &log, "a", obedient)})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	for n := 1; n <= 3; n++ {
		if err := syscall.Kill(g.Status()[0].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { s := g.Status()[0]; return s.State == Ready && s.Restarts == n })
	}
	if s := g.Status()[0]; s.LastEnd != "ended: signal: killed" {
		t.Errorf("last end is %q", s.LastEnd)
	}
}

func TestStartFails(t *testing.T) {
	var log buffer
	g := NewGroup(quick, []Process{script(t, &log, "a", obedient)}, []Process{script(t, &log, "b", "exit 3")})
	err := g.Start(t.Context())
	var start *StartError
	if !errors.As(err, &start) || start.Name != "b" || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error %v", err)
	}
	for _, s := range g.Status() {
		if s.State != Stopped {
			t.Errorf("left after a failure: %+v", s)
		}
	}
}

func TestStartOfNothing(t *testing.T) {
	p := Process{Name: "a", Log: io.Discard, Prepare: func() (Run, error) { return Run{Path: "/does/not/exist"}, nil }}
	if err := NewGroup(quick, []Process{p}).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be started") {
		t.Errorf("error %v", err)
	}
}

func TestPatience(t *testing.T) {
	options := quick
	options.Patience = 50 * time.Millisecond
	if err := NewGroup(options, []Process{script(t, io.Discard, "a", "exec sleep 60")}).Start(t.Context()); !errors.Is(err, errPatience) {
		t.Errorf("error %v", err)
	}
}

func TestStartIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := NewGroup(quick, []Process{script(t, io.Discard, "a", "exec sleep 60")}).Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestKillsWhatDoesNotEnd(t *testing.T) {
	options := quick
	options.Grace = 50 * time.Millisecond
	g := NewGroup(options, []Process{script(t, io.Discard, "a", `trap '' TERM; : >$READY; while :; do sleep 0.01; done`)})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := g.Status()[0].PID
	g.Stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
}

func TestStartAfterStop(t *testing.T) {
	g := NewGroup(quick, []Process{script(t, io.Discard, "a", obedient)})
	for range 2 {
		if err := g.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.Stop()
	}
}

// TestDiesWithItsParent kills a process that keeps another.
func TestDiesWithItsParent(t *testing.T) {
	if file := os.Getenv("SUPERVISE_PID_FILE"); file != "" {
		g := NewGroup(quick, []Process{script(t, io.Discard, "a", `echo $$ >$SUPERVISE_PID_FILE.new; mv $SUPERVISE_PID_FILE.new $SUPERVISE_PID_FILE; sleep 60`)})
		t.Fatal(g.Start(t.Context()))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "pid")
	parent := exec.Command(os.Args[0], "-test.run=^TestDiesWithItsParent$")
	parent.Env = append(os.Environ(), "SUPERVISE_PID_FILE="+file, "TMPDIR="+dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid []byte
	eventually(t, func() bool { pid, _ = os.ReadFile(file); return len(pid) > 0 })
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not come true")
		}
	}
}

// TestLaunch: what does not start keeps nobody waiting, and is there once it can be.
func TestLaunch(t *testing.T) {
	var log buffer
	gate := filepath.Join(t.TempDir(), "gate")
	late := script(t, &log, "late", obedient)
	prepare := late.Prepare
	late.Prepare = func() (Run, error) {
		if _, err := os.Stat(gate); err != nil {
			return Run{}, err
		}
		return prepare()
	}
	g := NewGroup(quick, []Process{late}, []Process{script(t, &log, "next", obedient)})
	defer g.Stop()
	result := g.Launch()
	var failed *StartError
	if err := <-result; !errors.As(err, &failed) || failed.Name != "late" {
		t.Errorf("launched: %v", err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	for _, s := range g.Status() {
		if s.State != Ready {
			t.Errorf("status %+v", s)
		}
	}
	g.Stop()
	if got, want := log.words(), strings.Fields("+late +next -next -late"); !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// TestGone: a program whose ground is gone is stopped, and started anew.
func TestGone(t *testing.T) {
	var log buffer
	p := script(t, &log, "a", obedient)
	prepare, runs := p.Prepare, 0
	gone := make(chan struct{})
	p.Prepare = func() (Run, error) {
		run, err := prepare()
		if runs++; runs == 1 {
			run.Gone = func(ctx context.Context) error {
				select {
				case <-gone:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return run, err
	}
	g := NewGroup(quick, []Process{p})
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(gone)
	for g.Status()[0].Restarts == 0 || g.Status()[0].State != Ready {
		time.Sleep(time.Millisecond)
	}
	g.Stop()
	if got, want := log.words(), strings.Fields("+a -a +a -a"); !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}
