package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binary is the program under test; scripts/test-kube says where it is.
var binary = os.Getenv("CIS_KUBE")

// lab is a control plane in a directory of its own.
type lab struct {
	*testing.T
	dir  string
	port int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if binary == "" {
		t.Fatal("CIS_KUBE has to be the path of cis-kube: run make test-kube")
	}
	l := &lab{T: t, dir: filepath.Join(t.TempDir(), "kube"), port: freePort(t)}
	t.Cleanup(func() {
		if t.Failed() {
			l.dumpLogs()
		}
		l.run("down")
		l.expectNothing()
	})
	return l
}

// freePort is one below those that the kernel gives to connections, which could take it
// before it is used, or end up talking to themselves.
func freePort(t *testing.T) int {
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port from 20000 to 29999 is free")
	return 0
}

func (l *lab) dumpLogs() {
	logs, err := filepath.Glob(filepath.Join(l.dir, "logs", "*.log"))
	if err != nil {
		l.Error(err)
	}
	for _, path := range logs {
		out, err := exec.Command("tail", "-n", "15", path).CombinedOutput()
		l.Logf("%s (%v):\n%s", path, err, out)
	}
}

// run runs cis-kube and gives its output and its exit code.
func (l *lab) run(args ...string) (string, int) {
	l.Helper()
	return l.runWith("", args...)
}

func (l *lab) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "CIS_KUBE_DATA_DIR="+l.dir)
	return cmd
}

func (l *lab) runWith(input string, args ...string) (string, int) {
	l.Helper()
	cmd := l.command(args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		l.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must is run for what has to succeed.
func (l *lab) must(args ...string) string {
	l.Helper()
	out, code := l.run(args...)
	if code != 0 {
		l.Fatalf("cis-kube %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (l *lab) upArgs(more ...string) []string {
	return append([]string{"up", "--node=false", "--listen", fmt.Sprintf("127.0.0.1:%d", l.port)}, more...)
}

func (l *lab) up(more ...string) string {
	l.Helper()
	return l.must(l.upArgs(more...)...)
}

func (l *lab) kubectl(args ...string) string {
	l.Helper()
	return strings.TrimSpace(l.must(append([]string{"kubectl"}, args...)...))
}

// status is what cis-kube status --json prints, as far as tests need it.
type status struct {
	State    string
	PID      int
	Programs []struct {
		Name, State string
		PID         int
		RSS         int64
		Restarts    int
	}
}

func (l *lab) status() (s status) {
	l.Helper()
	if err := json.Unmarshal([]byte(l.must("status", "--json")), &s); err != nil {
		l.Fatal(err)
	}
	return s
}

// await waits for something that comes in seconds.
func (l *lab) await(what string, ok func() bool) {
	l.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("%s: not in time", what)
		}
	}
}

// processes lists those that name the directory.
func (l *lab) processes() (all []string) {
	l.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		l.Fatal(err)
	}
	for _, file := range files {
		// What is gone by now is not there.
		if args, _ := os.ReadFile(file); bytes.Contains(args, []byte(l.dir)) {
			all = append(all, file+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return all
}

func (l *lab) expectNothing() {
	l.Helper()
	if left := l.processes(); len(left) > 0 {
		l.Errorf("still there:\n%s", strings.Join(left, "\n"))
	}
}
