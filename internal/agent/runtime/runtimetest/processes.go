package runtimetest

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cis/api"
)

// testSharedProcesses: containers that share their processes see and end each other's, and
// what one leaves behind ends with it and nothing else.
func testSharedProcesses(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{ShareProcesses: true})
	first := b.Begin(b.Shell("first", "sleep 1000 & sleep 1001 & exec cat"))
	second := b.Begin(b.Shell("second", "trap 'exit 7' TERM; sleep 1002 & while :; do sleep 0.05; done"))
	look := func(script string) string {
		t.Helper()
		_, output := b.Execute("first", Sh(script)).End()
		return output
	}
	const sleepers = "for p in $(pidof sleep); do tr '\\000' ' ' </proc/$p/cmdline; done 2>/dev/null | grep -o 'sleep 1[0-9]*' | sort | tr '\\n' ' '"
	b.Ready("first", "test $(pidof sleep | wc -w) -ge 3")
	if got := look(sleepers); got != "sleep 1000 sleep 1001 sleep 1002 " {
		t.Errorf("it sees %q", got)
	}
	if got := look("tr '\\000' ' ' </proc/1/cmdline; kill -TERM 1; kill -HUP 1; ls /proc/1/root/ 2>&1 | grep -c cis"); !strings.Contains(got, "pause") || !strings.HasSuffix(got, "0\n") {
		t.Errorf("process 1 is %q", got)
	}
	// What nobody waits for is not left as a zombie.
	if got := look("sh -c '(sleep 0.05 & sleep 0.05 & ) '; sleep 0.3; cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '"); got != "0\n" {
		t.Errorf("%s zombies", got)
	}
	look("for p in /proc/[0-9]*; do grep -q 'exi[t] 7' $p/cmdline && kill ${p#/proc/}; done")
	// What it leaves behind holds its output open until it is deleted.
	if exit, err := second.Wait(); err != nil || exit.Code != 7 {
		t.Errorf("the second ended with %+v: %v", exit, err)
	}
	if err := second.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if got := look(sleepers); got != "sleep 1000 sleep 1001 " {
		t.Errorf("after the end of the second it sees %q", got)
	}
	if stats, err := b.Runtime.Stats(t.Context()); err != nil || stats.Pids != 3 {
		t.Errorf("%+v: %v", stats, err)
	}
	terminated := b.Begin(b.Shell("terminated", "exec sleep 1003"))
	if err := terminated.Signal(t.Context(), int(unix.SIGTERM), false); err != nil {
		t.Error(err)
	}
	if exit, _ := terminated.End(); exit.Code != 143 || exit.Signal != 15 {
		t.Errorf("a signal ended it with %+v", exit)
	}
	if err := first.Signal(t.Context(), int(unix.SIGKILL), true); err != nil {
		t.Error(err)
	}
	if exit, _ := first.End(); exit.Code != 137 {
		t.Errorf("a kill ended it with %+v", exit)
	}
	for _, r := range []*Running{first, terminated} {
		if err := r.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
	b.Expect("pidof sleep | wc -w", "0")
}

// testTarget: a container that has another for its target sees that one's processes alone,
// with files and privileges of its own, and ends with it.
func testTarget(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{})
	main := b.Begin(b.Shell("main", "sleep 1000 & touch /of-main; wait; cat"))
	other := b.Begin(b.Shell("other", "exec sleep 2000"))
	b.Ready("main", "test -e /of-main")
	debugger := b.Shell("debugger", "touch /own; ls /of-main /proc/1/root/of-main 2>/dev/null; cat /proc/1/comm; pidof sleep | wc -w; kill $(pidof sleep); exit 5")
	debugger.Target, debugger.Capabilities = "main", append([]string{"CAP_SYS_PTRACE"}, DockerCaps...)
	if exit, output := b.RunContainer(debugger); exit.Code != 5 || output != "/proc/1/root/of-main\nsh\n1\n" {
		t.Errorf("%+v %q", exit, output)
	}
	if _, output := b.Execute("main", Sh("pidof sleep | wc -w; ls /own 2>/dev/null")).End(); output != "0\n" {
		t.Errorf("after it %q", output)
	}
	// It is killed by itself, and with the target.
	for _, target := range []bool{false, true} {
		stays := b.Shell("stays", "exec sleep 3001")
		stays.Target = "main"
		r := b.Begin(stays)
		b.Ready("main", "grep -q 300[1] /proc/[0-9]*/cmdline")
		if target {
			main.Stdin.Close()
			if exit, _ := main.End(); exit.Code != 0 {
				t.Errorf("the target ended with %+v", exit)
			}
		} else if err := r.Signal(t.Context(), int(unix.SIGKILL), true); err != nil {
			t.Error(err)
		}
		if exit, _ := r.End(); exit.Code != 137 {
			t.Errorf("it ended with %+v", exit)
		}
		if err := r.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := main.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	var failure *api.Error
	if _, err := b.TryBegin(debugger); !errors.As(err, &failure) || failure.Code != api.Conflict {
		t.Error(err)
	}
	if err := other.Signal(t.Context(), int(unix.SIGKILL), true); err != nil {
		t.Error(err)
	}
	other.End()
}
