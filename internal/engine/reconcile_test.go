package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"cis/api"
	"cis/internal/machine"
)

func TestARestartOfTheServerStopsNothing(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	before := b.untilRunning("a")
	b.reopen()
	after := b.untilRunning("a")
	if !after.Status.StartedAt.Equal(*before.Status.StartedAt) || after.Status.Address != before.Status.Address {
		t.Errorf("before %+v, after %+v", before.Status, after.Status)
	}
	code, err := b.exec("a", "echo", "still", "here")
	if err != nil || code != "still here\n0" {
		t.Errorf("exec: %q, %v", code, err)
	}
	if end, err := b.Stop(t.Context(), "a", new(time.Duration)); err != nil || end.Status.Reason != api.ReasonStopped {
		t.Errorf("stop: %+v, %v", end.Status, err)
	}
	b.untilClean()
}

func (b *bench) exec(ref string, args ...string) (string, error) {
	b.t.Helper()
	var out bytes.Buffer
	// The connection to the agent comes a moment after the record.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		code, err := b.Exec(b.t.Context(), ref, api.ExecRequest{Command: args}, api.Streams{Stdout: &out})
		if api.CodeOf(err) == api.Conflict && time.Now().Before(end) {
			continue
		}
		return fmt.Sprintf("%s%d", out.String(), code), err
	}
}

func TestAnEndDuringAbsenceIsFound(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep", "300"))
	b.untilRunning("a")
	b.close()
	time.Sleep(500 * time.Millisecond)
	b.open()
	if end := b.untilFinished("a"); end.Status.Phase != api.PhaseSucceeded {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
}

func TestACreateCutOffIsFinished(t *testing.T) {
	b := newBench(t)
	b.host.hold = make(chan struct{})
	b.create(request("a", "echo", "hello"))
	for b.host.countStarts() == 0 {
		time.Sleep(time.Millisecond)
	}
	b.close()
	b.host.mu.Lock()
	b.host.hold = nil
	b.host.mu.Unlock()
	b.open()
	if end := b.untilFinished("a"); end.Status.Phase != api.PhaseSucceeded {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
	if got := b.output("a"); got != "hello\n" {
		t.Errorf("output %q", got)
	}
}

func (h *host) countStarts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts
}

func TestASandboxLostWhileAwayFailsWithItsReason(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	b.close()
	ids, _ := b.host.List(t.Context())
	b.host.Destroy(t.Context(), ids[0])
	b.open()
	end := b.untilFinished("a")
	if end.Status.Phase != api.PhaseFailed || end.Status.Reason != api.ReasonSandboxLost || *end.Status.ExitCode != 137 {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
}

func TestStrangersAreRemoved(t *testing.T) {
	b := newBench(t)
	b.close()
	if err := b.host.Start(t.Context(), machine.Sandbox{ID: "s-0123456789ab"}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(b.logDir("i-gone"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.untilClean()
	if _, err := os.Stat(b.logDir("i-gone")); !os.IsNotExist(err) {
		t.Errorf("logs of nobody are left: %v", err)
	}
}

// A stop keeps its grace period over a restart of the server.
func TestStopOverARestart(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "stubborn"))
	b.untilRunning("a")
	grace := 2 * time.Second
	began := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	go b.Stop(ctx, "a", &grace)
	b.until("a", "stopping", func(in api.Instance) bool { return in.Status.Stopping })
	cancel()
	b.reopen()
	end := b.untilFinished("a")
	if took := time.Since(began); took < grace || end.Status.Reason != api.ReasonStopped || *end.Status.ExitCode != 137 {
		t.Errorf("after %s: %+v", took, end.Status)
	}
	b.untilClean()
}
