package linux

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/cgroup"
	"cis/internal/testbox"
)

// TestMain runs the tests as process 1 of namespaces of their own, as the agent is in
// a VM. Nothing that they mount, name or leave running reaches the host.
func TestMain(m *testing.M) {
	if os.Getpid() != 1 {
		os.Exit(enter())
	}
	if err := settle(); err != nil {
		fmt.Fprintln(os.Stderr, "set up the namespaces:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// enter runs this program again in new namespaces.
func enter() int {
	runtime.LockOSThread() // the death signal is tied to the thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
		Unshareflags: unix.CLONE_NEWNS, // which also makes the mounts private
		Pdeathsig:    unix.SIGKILL,
	}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "enter namespaces:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// settle mounts what belongs to the new namespaces.
func settle() error {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := unix.Mount("devpts", "/dev/pts", "devpts", 0, "mode=0620,ptmxmode=0666"); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

func TestConformance(t *testing.T) {
	runtimetest.Conform(t, func(t testing.TB, o runtimetest.Options) *runtimetest.Box {
		return &newBox(t, boxOptions{volumes: o.Volumes, image: o.Image, share: o.ShareProcesses}).Box
	})
}

// box is a runtime under test.
type box struct {
	runtimetest.Box
	*Runtime
	groups *cgroup.Tree
	group  string
}

// boxOptions of a test; the zero value will do.
type boxOptions struct {
	limits  cgroup.Limits
	volumes []agentpb.Volume
	image   map[string]string
	share   bool
}

// newBox makes a runtime, prepared for containers of a busybox image. After the
// test nothing of it may be left.
func newBox(t testing.TB, o boxOptions) *box {
	t.Helper()
	groups, err := cgroup.Open(cgroup.Root)
	if err != nil {
		t.Fatal(err)
	}
	dir := testbox.Dir(t)
	b := &box{groups: groups, group: "/cis-test-" + filepath.Base(dir)}
	if err := groups.Create(b.group, o.limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.close(dir) })
	b.Box = runtimetest.Box{T: t, Image: testbox.Image(t, o.image)}
	conf := Config{
		Tool: tool(t), Dir: filepath.Join(dir, "run"), Cgroup: b.group,
		Disk:   func(path string) (string, error) { return path, nil },
		Layer:  func(name string) (string, error) { return place(dir, "layers", name) },
		Volume: func(name string) (string, error) { return place(dir, "volumes", name) },
	}
	if b.Runtime, err = New(conf); err != nil {
		t.Fatal(err)
	}
	b.Box.Runtime = b.Runtime
	err = b.Prepare(t.Context(), &agentpb.Workload{
		ID: "run", Hostname: "web", Address: "10.1.2.3", Nameservers: []string{"10.1.0.2"}, Searches: []string{"vpc.internal"},
		Volumes: o.volumes, Pids: 400, ShareProcesses: o.share,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// place is a directory that everybody may write to, as on a disk of its own.
func place(dir, use, name string) (string, error) {
	path := filepath.Join(dir, use, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o777)
}

// close ends what the test has left running, and checks that the mounts go.
func (b *box) close(dir string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.groups.Remove(ctx, b.group); err != nil {
		b.T.Error(err)
	}
	if b.Runtime == nil {
		return
	}
	if err := b.Close(); err != nil {
		b.T.Error(err)
	}
	if left := mountsBelow(b.T, dir); len(left) > 0 {
		b.T.Errorf("mounts are left: %v", left)
	}
}

// mountsBelow lists the mounts below a directory.
func mountsBelow(t testing.TB, dir string) (found []string) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir+"/") {
			found = append(found, at)
		}
	}
	return found
}

var toolProgram string

// tool builds cis-pause once for all tests.
func tool(t testing.TB) string {
	if toolProgram == "" {
		built, err := os.ReadFile(testbox.Program(t, "cis-pause"))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		toolProgram = "/mnt/cis-pause"
		if err := os.WriteFile(toolProgram, built, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return toolProgram
}
