package netns

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// TestNamespace: what is done in it is done there and nowhere else, and its end is seen.
func TestNamespace(t *testing.T) {
	n := Namespace("cis-test-" + strconv.Itoa(os.Getpid()))
	if _, err := n.ID(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	ip(t, "netns", "add", string(n))
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", string(n)).Run() })
	ip(t, "-n", string(n), "link", "set", "lo", "up")
	was, err := n.ID()
	if err != nil {
		t.Fatal(err)
	}
	l, err := n.Listen("tcp", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := n.Dial(t.Context(), "tcp", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	links := func() (out []byte) {
		if err := n.Do(func() error { out, err = exec.Command("ip", "-o", "link").Output(); return err }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	outside, err := exec.Command("ip", "-o", "link").Output()
	if err != nil || string(links()) == string(outside) {
		t.Errorf("in it are the links of outside: %v %s", err, outside)
	}

	// A child's death signal comes with the end of the thread that it was started on.
	child := exec.Command("sleep", "60")
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		links()
	}
	if pid, err := syscall.Wait4(child.Process.Pid, nil, syscall.WNOHANG, nil); pid != 0 {
		t.Errorf("a child from before has ended: %v", err)
	} else {
		_ = child.Process.Kill()
		_ = child.Wait()
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := n.Gone(ctx, was); err == nil {
		t.Error("it is gone while it is there")
	}
	ip(t, "netns", "del", string(n))
	if err := n.Gone(t.Context(), was); err != nil {
		t.Errorf("it is not gone: %v", err)
	}
}
