package linux

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/cgroup"
)

func TestStartAndExit(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.Expect("echo hello; hostname; id -u", "hello\nweb\n0")
	for _, test := range []struct {
		script string
		want   runtime.Exit
	}{
		{"exit 0", runtime.Exit{}},
		{"exit 3", runtime.Exit{Code: 3}},
		{"sh -c 'kill -TERM $$'; exit $?", runtime.Exit{Code: 143}},
	} {
		if exit, _ := b.Run(test.script); exit != test.want {
			t.Errorf("%s: %+v, want %+v", test.script, exit, test.want)
		}
	}
	r := b.Begin(b.Shell("main", "cat"))
	io.WriteString(r.Stdin, "typed")
	r.Stdin.Close()
	if exit, output := r.End(); exit.Code != 0 || output != "typed" {
		t.Errorf("%+v %q", exit, output)
	}
}

func TestStartFailuresLeaveNothing(t *testing.T) {
	b := newBox(t, boxOptions{
		image: map[string]string{"bin/broken": "not a program"}, volumes: []agentpb.Volume{{Name: "data"}},
	})
	before := b.traces()
	for _, test := range []struct {
		change func(*agentpb.Container)
		want   string
	}{
		{func(c *agentpb.Container) { c.Args = []string{"nothing"} }, `find program "nothing" in PATH /bin: no such file or directory`},
		{func(c *agentpb.Container) { c.Args = []string{"/nothing"} }, "execute /nothing: no such file or directory"},
		{func(c *agentpb.Container) { c.Args = []string{"/etc/passwd"} }, "permission denied"},
		{func(c *agentpb.Container) { c.Args = []string{"broken"} }, "exec format error"},
		{func(c *agentpb.Container) { c.Rootfs = "/nowhere.erofs" }, "/nowhere.erofs"},
		{func(c *agentpb.Container) { c.Mounts = []agentpb.Mount{{Volume: "none", Path: "/x"}} }, "no such volume"},
		{func(c *agentpb.Container) { c.Cwd = "/etc/passwd" }, "work in /etc/passwd: not a directory"},
		{func(c *agentpb.Container) { c.Mounts = []agentpb.Mount{{Volume: "data", Path: "/etc/passwd"}} }, "not a directory"},
	} {
		c := b.Shell("main", "true")
		test.change(c)
		if _, err := b.TryBegin(c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want it to tell of %q", err, test.want)
		}
		if after := b.traces(); after != before {
			t.Errorf("%s: left\n%s\nwas\n%s", test.want, after, before)
		}
	}
	b.Expect("echo fine", "fine")
	if after := b.traces(); after != before {
		t.Errorf("a deleted container left\n%s\nwas\n%s", after, before)
	}
}

// traces lists what a container may leave: mounts, directories, groups, children.
func (b *box) traces() string {
	found := mountsBelow(b.T, filepath.Dir(b.conf.Dir))
	for _, pattern := range []string{b.conf.Dir + "/*/*", filepath.Dir(b.conf.Dir) + "/layers/*/*"} {
		names, _ := filepath.Glob(pattern)
		found = append(found, names...)
	}
	groups, err := b.groups.List(b.group)
	if err != nil {
		b.T.Fatal(err)
	}
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		found = append(found, strings.Fields(string(data))...)
	}
	return strings.Join(append(found, groups...), "\n")
}

// TestExecEnds: what runs beside the main program ends with it.
func TestExecEnds(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "cat"))
	if _, err := b.TryExecute("main", &agentpb.ExecStart{Args: []string{"nothing"}}); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Error(err)
	}
	p := b.Execute("main", runtimetest.Sh("sleep 1000"))
	r.Stdin.Close()
	r.End()
	if exit, _ := p.End(); exit.Signal != int(unix.SIGKILL) || exit.OOMKilled {
		t.Errorf("%+v", exit)
	}
	var failure *api.Error
	if _, err := b.TryExecute("main", runtimetest.Sh("true")); !errors.As(err, &failure) || failure.Code != api.Conflict {
		t.Error(err)
	}
}

// TestTerminalOfUser: a user's terminal is its own.
func TestTerminalOfUser(t *testing.T) {
	b := newBox(t, boxOptions{})
	c := b.Shell("main", "tty; echo hi >/dev/tty")
	c.UID, c.TTY = 1000, true
	ours, theirs := runtimetest.OpenPty(t)
	p, err := b.Start(t.Context(), c, runtime.Stdio{Terminal: theirs})
	if err != nil {
		t.Fatal(err)
	}
	seen := runtimetest.WatchScreen(ours)
	seen.Shows(t, theirs.Name()+"\r\nhi")
	p.Wait()
	theirs.Close()
}

// TestIgnoredSignals: what this process ignores, as the agent does, programs do not.
func TestIgnoredSignals(t *testing.T) {
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	defer signal.Reset(unix.SIGHUP, unix.SIGPIPE)
	b := newBox(t, boxOptions{})
	c := b.Shell("main", "")
	c.Args = []string{"grep", "SigIgn", "/proc/self/status"}
	const none = "SigIgn:\t0000000000000000\n"
	if _, output := b.RunContainer(c); output != none {
		t.Error(output)
	}
	r := b.Begin(b.Shell("main", "cat"))
	if _, output := b.Execute("main", &agentpb.ExecStart{Args: c.Args}).End(); output != none {
		t.Error(output)
	}
	r.Stdin.Close()
	r.End()
}

func TestSignals(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "trap 'echo term; exit 9' TERM; sleep 1000 & touch /tmp/up; wait"))
	b.Ready("main", "test -f /tmp/up")
	if err := r.Signal(t.Context(), int(unix.SIGTERM), false); err != nil {
		t.Fatal(err)
	}
	if exit, output := r.End(); exit.Code != 9 || output != "term\n" {
		t.Errorf("%+v %q", exit, output)
	}
	other := b.Begin(b.Shell("other", "cat"))
	r = b.Begin(b.Shell("main", "sh -c 'trap \"echo child; exit\" USR1; touch /tmp/up; while :; do sleep 0.05; done' & trap 'echo parent' USR1; wait; wait"))
	b.Ready("main", "test -f /tmp/up")
	if err := r.Signal(t.Context(), int(unix.SIGUSR1), true); err != nil {
		t.Fatal(err)
	}
	if _, output := r.End(); !strings.Contains(output, "child") || !strings.Contains(output, "parent") {
		t.Errorf("%q", output)
	}
	r = b.Begin(b.Shell("main", "sleep 1000 & sleep 1000 & wait"))
	if err := r.Signal(t.Context(), int(unix.SIGKILL), true); err != nil {
		t.Fatal(err)
	}
	if exit, _ := r.End(); exit.Signal != 9 || exit.OOMKilled {
		t.Errorf("%+v", exit)
	}
	if _, output := b.Execute("other", runtimetest.Sh("echo lives")).End(); output != "lives\n" {
		t.Error("the other container was hit")
	}
	if s, err := b.Stats(t.Context()); err != nil || s.Pids < 1 || s.Pids > 2 {
		t.Errorf("%d processes, %v", s.GetPids(), err)
	}
	other.Stdin.Close()
	other.End()
}

// TestExecWithoutRoom: where no more processes may be, an exec says so.
func TestExecWithoutRoom(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "i=0; while [ $i -lt 395 ]; do sleep 1000 & i=$((i+1)); done; wait"))
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s, err := b.Stats(t.Context()); err != nil || s.Pids >= 396 {
			break
		}
	}
	if _, err := b.TryExecute("main", runtimetest.Sh("echo hi")); api.CodeOf(err) != api.Exhausted || !strings.Contains(err.Error(), "of 400") {
		t.Errorf("%v", err)
	}
	r.Signal(t.Context(), int(unix.SIGKILL), true)
	r.End()
}

func TestMemoryLimit(t *testing.T) {
	b := newBox(t, boxOptions{limits: cgroup.Limits{Memory: 96 << 20}})
	r := b.Begin(b.Shell("main", "exec head -c 300000000 /dev/zero | tail; exit 1"))
	other := b.Begin(b.Shell("other", "cat"))
	c := b.Shell("hog", "")
	c.Args = []string{"tail", "/dev/zero"}
	if exit, _ := b.RunContainer(c); !exit.OOMKilled || exit.Code != 137 {
		t.Errorf("%+v", exit)
	}
	r.Signal(t.Context(), int(unix.SIGKILL), true)
	r.End()
	other.Stdin.Close()
	if exit, _ := other.End(); exit.Code != 0 {
		t.Errorf("the other container: %+v", exit)
	}
}

func TestTry(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "nc -l -p 7 & cat"))
	b.Ready("main", "grep -q ':0007 .* 0A ' /proc/net/tcp*") // it listens
	runtimetest.Tries(t, b.Runtime, 7, 9)
	r.Stdin.Close()
	r.End()
}

func TestDial(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "nc -l -p 6 -e cat & nc -l -p 7 -e cat & touch /tmp/up; cat"))
	b.Ready("main", "grep -q ':0006 .* 0A ' /proc/net/tcp* && grep -q ':0007 .* 0A ' /proc/net/tcp*") // it listens
	echo, err := b.Dial(t.Context(), runtime.Localhost(7))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(echo, "hello")
	answer := make([]byte, 5)
	if _, err := io.ReadFull(echo, answer); err != nil || string(answer) != "hello" {
		t.Errorf("%q %v", answer, err)
	}
	echo.Close()
	if there, err := b.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:6")); err != nil {
		t.Error(err)
	} else {
		there.Close()
	}
	var failure *api.Error
	if _, err := b.Dial(t.Context(), runtime.Localhost(9)); !errors.As(err, &failure) || failure.Code != api.Unavailable {
		t.Error(err)
	}
	r.Stdin.Close()
	r.End()
}

// An orphan is reaped; a program of ours and one that somebody waits for are not.
func TestReap(t *testing.T) {
	b := newBox(t, boxOptions{})
	go b.reap(t.Context(), 300*time.Millisecond)
	r := b.Begin(b.Shell("main", "cat"))
	before := b.traces()
	// The shell ends before its child, which is handed to this process.
	if err := exec.Command("/bin/sh", "-c", "(sleep 0.1) &").Run(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if exec.Command("/bin/false").Run().Error() != "exit status 1" {
		t.Error("another's child was reaped")
	}
	for range 3000 {
		if b.traces() == before {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if after := b.traces(); after != before {
		t.Errorf("left\n%s\nwas\n%s", after, before)
	}
	r.Stdin.Close()
	if exit, _ := r.End(); exit.Code != 0 {
		t.Errorf("%+v", exit)
	}
}

// TestAhead: a rehearsal leaves nothing, and a container made ahead is what the next
// start takes.
func TestAhead(t *testing.T) {
	b := newBox(t, boxOptions{})
	before := b.traces()
	if err := agent.Rehearse(t.Context(), b.Runtime, *b.Shell("main", "true"), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if after := b.traces(); after != before {
		t.Errorf("a rehearsal left\n%s\nwas\n%s", after, before)
	}
	if err := b.MakeAhead(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.Expect("echo fine $$", "fine 1")
		if after := b.traces(); after != before {
			t.Errorf("left\n%s\nwas\n%s", after, before)
		}
	}
}
