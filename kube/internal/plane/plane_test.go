package plane

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cis/kube/internal/supervise"
)

// The test's own program stands for cis-kube: called as one of the programs it is a
// fake of it (fake_test.go), and with this variable a whole control plane of fakes.
const planeEnv = "TEST_PLANE"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains(append(programs, MetricsServer), os.Args[1]) {
		fake(os.Args[1], os.Args[2:])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "-kubeconfig" {
		fakeKubelet(os.Args[1:])
		return
	}
	if dir := os.Getenv(planeEnv); dir != "" {
		port, err := strconv.ParseUint(os.Getenv("TEST_PORT"), 10, 16)
		if err == nil {
			err = Run(context.Background(), planeConfig(dir, uint16(port)), objects{}, quiet)
		}
		if err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// objects is a Bootstrap of nothing.
type objects struct{}

func (objects) Ensure(context.Context, *Plane) error { return nil }
func (objects) Keep(context.Context, *Plane)         {}

var quiet = Observer{Say: func(string) {}, Ready: func() error { return nil }}

func planeConfig(dir string, port uint16) Config {
	return Config{
		DataDir: dir, Listen: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port),
		ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16"), Program: os.Args[0], Version: "v1.37.2",
	}
}

func testConfig(t *testing.T) Config {
	t.Helper()
	port, err := freePort(loopback)
	if err != nil {
		t.Fatal(err)
	}
	return planeConfig(filepath.Join(t.TempDir(), "data"), uint16(port))
}

// start runs a control plane in this process; end stops it and gives Run's error.
func start(t *testing.T, c Config) (end func() error) {
	t.Helper()
	var once sync.Once
	result := make(chan error, 1)
	ready := make(chan struct{})
	o := quiet
	o.Ready = func() error { close(ready); return nil }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { result <- Run(ctx, c, objects{}, o) }()
	select {
	case <-ready:
	case err := <-result:
		cancel()
		t.Fatalf("Run: %v", err)
	}
	var err error
	end = func() error {
		once.Do(func() { cancel(); err = <-result })
		return err
	}
	t.Cleanup(func() { _ = end() })
	return end
}

// journal is what the fakes have done.
func journal(t *testing.T, c Config) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.DataDir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

func TestLife(t *testing.T) {
	c := testConfig(t)
	if _, err := AskStatus(t.Context(), c.DataDir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before: %v", err)
	}
	if err := Down(t.Context(), c.DataDir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("down before: %v", err)
	}
	for n := range 2 {
		end := start(t, c)
		s, err := AwaitReady(t.Context(), c.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		if s.State != Ready || len(s.Programs) != len(programs) || s.Server != c.LocalServer() || len(s.Certificates) == 0 {
			t.Errorf("status %+v", s)
		}
		for _, p := range s.Programs {
			if p.State != supervise.Ready || p.RSS == 0 || p.PID == 0 {
				t.Errorf("program %+v", p)
			}
		}
		if err := Down(t.Context(), c.DataDir); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		j := journal(t, c)[n*8:]
		slices.Sort(j[2:4])
		slices.Sort(j[4:6])
		want := strings.Fields("+etcd +kube-apiserver +kube-controller-manager +kube-scheduler -kube-controller-manager -kube-scheduler -kube-apiserver -etcd")
		if !slices.Equal(j, want) {
			t.Errorf("order %v, want %v", j, want)
		}
	}
	if _, err := os.Stat(c.path(pidFile)); err == nil {
		t.Error("the pid file is still there")
	}
}

func TestExternalEtcd(t *testing.T) {
	c := testConfig(t)
	c.External.URLs = []string{"http://192.0.2.1:2379"}
	start(t, c)
	s, err := AskStatus(t.Context(), c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Programs) != 3 || !slices.Equal(s.Etcd, c.External.URLs) {
		t.Errorf("status %+v", s)
	}
}

func TestOneInADirectory(t *testing.T) {
	c := testConfig(t)
	start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := Run(ctx, c, objects{}, quiet); !errors.Is(err, errLocked) {
		t.Errorf("a second one: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	c := testConfig(t)
	start(t, c)
	c.DataDir = filepath.Join(t.TempDir(), "other")
	var field *FieldError
	if err := Run(t.Context(), c, objects{}, quiet); !errors.As(err, &field) || field.Field != "listen" {
		t.Errorf("error %v", err)
	}
}

func TestFailureShowsTheLog(t *testing.T) {
	c := testConfig(t)
	c.Extra = map[string][]string{Scheduler: {"--fail=no such plugin"}}
	if err := Run(t.Context(), c, objects{}, quiet); err == nil || !strings.Contains(err.Error(), "no such plugin") || !strings.Contains(err.Error(), LogFile(c.DataDir, Scheduler)) {
		t.Errorf("error %v", err)
	}
	if err := Down(t.Context(), c.DataDir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after it: %v", err)
	}
}

// TestGoesOnAfterKills kills a control plane at moments all through its start, and
// starts it again each time.
func TestGoesOnAfterKills(t *testing.T) {
	c := testConfig(t)
	run := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), planeEnv+"="+c.DataDir, "TEST_PORT="+strconv.Itoa(int(c.Listen.Port())))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	for moment := time.Duration(0); moment < 400*time.Millisecond; moment += 20 * time.Millisecond {
		cmd := run()
		time.Sleep(moment)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	cmd := run()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		if _, err := AwaitReady(ctx, c.DataDir); err == nil {
			break
		} else if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := Down(ctx, c.DataDir); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
