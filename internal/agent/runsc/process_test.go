package runsc

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/cgroup"
)

func TestStartFailures(t *testing.T) {
	b := newBox(t, boxOptions{})
	for _, test := range []struct {
		change func(*agentpb.Container)
		want   string
	}{
		{func(c *agentpb.Container) { c.Args = []string{"nothing"} }, "nothing"},
		{func(c *agentpb.Container) { c.Args = []string{"/etc/passwd"} }, "permission denied"},
		{func(c *agentpb.Container) { c.Rootfs = "/nowhere.erofs" }, "/nowhere.erofs"},
		{func(c *agentpb.Container) { c.Mounts = []agentpb.Mount{{Volume: "none", Path: "/x"}} }, "no such volume"},
		{func(c *agentpb.Container) { c.Cwd = "/etc/passwd" }, "/etc/passwd"},
	} {
		c := b.Shell("main", "true")
		test.change(c)
		_, err := runtimetest.Streams(t, func(s runtime.Stdio) (runtime.Process, error) { return b.Start(t.Context(), c, s) })
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want it to tell of %q", err, test.want)
		}
		t.Log(err)
	}
	b.Expect("echo fine", "fine")
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
	r = b.Begin(b.Shell("main", "sleep 1000 & sleep 1000 & wait"))
	other := b.Begin(b.Shell("other", "cat"))
	if err := r.Signal(t.Context(), int(unix.SIGKILL), true); err != nil {
		t.Fatal(err)
	}
	if exit, _ := r.End(); exit.Signal != 9 || exit.OOMKilled {
		t.Errorf("%+v", exit)
	}
	if _, output := b.Execute("other", runtimetest.Sh("echo lives")).End(); output != "lives\n" {
		t.Error("the other container was hit")
	}
	other.Stdin.Close()
	other.End()
}

func TestHostname(t *testing.T) {
	b := newBox(t, boxOptions{})
	for _, name := range []string{"a", "web-1"} {
		b.load.Hostname = name
		began := time.Now()
		if err := b.Prepare(t.Context(), b.load); err != nil {
			t.Fatal(err)
		}
		t.Logf("set in %v", time.Since(began))
		b.Expect("hostname; cat /etc/hostname", name+"\n"+name)
	}
}

func TestPids(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "for i in $(seq 50); do sleep 1000 & done; touch /tmp/up; cat"))
	other := b.Begin(b.Shell("other", "cat"))
	b.Ready("main", "test -f /tmp/up")
	b.Ready("other", "true")
	if s, err := b.Stats(t.Context()); err != nil || s.Pids < 52 || s.Pids > 54 {
		t.Errorf("%d processes, %v; want 50 sleeps, 2 cats and perhaps their shells", s.GetPids(), err)
	}
	data, _ := os.ReadFile("/sys/fs/cgroup/pids" + b.group + "/pids.current")
	t.Logf("host: %s", data)
	r.Stdin.Close()
	other.Stdin.Close()
	r.End()
	other.End()
}

func TestMemoryLimit(t *testing.T) {
	b := newBox(t, boxOptions{limits: cgroup.Limits{Memory: 96 << 20}})
	b.Expect("free -m | awk '/Mem/ {print $2}'", "96")
	r := b.Begin(b.Shell("main", "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 && head -c 300000000 /dev/zero | tail"))
	exit, output := r.End()
	t.Logf("%+v %.300s", exit, output)
	select {
	case <-b.Lost():
		if !b.Cause().OOMKilled || !exit.OOMKilled {
			t.Errorf("cause %+v, exit %+v", b.Cause(), exit)
		}
	case <-time.After(time.Minute):
		t.Error("the sandbox lives")
	}
}

func TestDial(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "nc -l -p 6 -e cat & nc -l -p 7 -e cat & nc -l -p 8 -e sh -c 'cat >/tmp/got; wc -c </tmp/got' & touch /tmp/up; cat"))
	b.Ready("main", "test -f /tmp/up; netstat -lt 2>/dev/null; grep -q ':0006 ' /proc/net/tcp* && grep -q ':0007 ' /proc/net/tcp* && grep -q ':0008 ' /proc/net/tcp*")
	began := time.Now()
	echo, err := b.Dial(t.Context(), runtime.Localhost(7))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(echo, "hello")
	answer := make([]byte, 5)
	if _, err := io.ReadFull(echo, answer); err != nil || string(answer) != "hello" {
		t.Errorf("%q %v", answer, err)
	}
	t.Logf("dialled and answered in %v", time.Since(began))
	echo.Close()
	if there, err := b.Dial(t.Context(), netip.MustParseAddrPort("127.0.0.1:6")); err != nil {
		t.Error(err)
	} else {
		there.Close()
	}
	// Each direction ends on its own.
	half, err := b.Dial(t.Context(), runtime.Localhost(8))
	if err != nil {
		t.Fatal(err)
	}
	half.Write(make([]byte, 1<<20))
	half.(*net.UnixConn).CloseWrite()
	if answer, err := io.ReadAll(half); err != nil || strings.TrimSpace(string(answer)) != "1048576" {
		t.Errorf("%q %v", answer, err)
	}
	half.Close()
	var failure *api.Error
	if _, err := b.Dial(t.Context(), runtime.Localhost(9)); !errors.As(err, &failure) || failure.Code != api.Unavailable {
		t.Error(err)
	}
	t.Log(failure)
	r.Stdin.Close()
	r.End()
}

func TestTry(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "nc -l -p 7 & cat"))
	b.Ready("main", "grep -q ':0007 ' /proc/net/tcp*")
	runtimetest.Tries(t, b, 7, 9)
	r.Stdin.Close()
	r.End()
}

func TestLost(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "cat"))
	pid, err := readPid(b.conf.pidFile())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	unix.Kill(pid, unix.SIGKILL)
	select {
	case <-b.Lost():
		t.Logf("known after %v: %+v", time.Since(began), b.Cause())
	case <-time.After(time.Minute):
		t.Fatal("the loss was not seen")
	}
	if exit, _ := r.End(); exit.Code != 137 || exit.OOMKilled || b.Cause().OOMKilled || !strings.Contains(b.Cause().Message, "SIGKILL") {
		t.Errorf("%+v %+v", exit, b.Cause())
	}
}

// A process bomb does not reach the host: it ends the sandbox.
func TestProcessBomb(t *testing.T) {
	b := newBox(t, boxOptions{limits: cgroup.Limits{Memory: 512 << 20, Pids: 600}})
	r := b.Begin(b.Shell("main", "bomb() { bomb | bomb & }; bomb; sleep 20"))
	exit, _ := r.End()
	select {
	case <-b.Lost():
	case <-time.After(time.Second):
		t.Fatalf("the sandbox lives: %+v", exit)
	}
	if exit.Code != 137 || !strings.Contains(b.Cause().Message, "more processes and threads") {
		t.Errorf("%+v, %+v", exit, b.Cause())
	}
}

// The sandbox ends with the agent, whose end of cis-pause's input closes.
func TestEndsWithAgent(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.Begin(b.Shell("main", "sleep 1000"))
	b.hold.Close()
	select {
	case <-b.Lost():
		t.Log(b.Cause())
	case <-time.After(time.Minute):
		t.Error("the sandbox lives")
	}
}
