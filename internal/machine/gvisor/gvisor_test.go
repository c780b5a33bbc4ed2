package gvisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/journal"
	"cis/internal/machine"
	"cis/internal/machine/machinetest"
	"cis/internal/osthread"
	"cis/internal/testbox"
)

// newConfig is that of a machine with a directory and cgroups of its own.
func newConfig(t testing.TB) Config {
	dir := testbox.Dir(t)
	c := Config{
		Dir: dir, Prefix: "/cis-test-" + filepath.Base(dir), RunscPath: testbox.Runsc(t),
		AgentPath: testbox.Program(t, "cis-agent"), PausePath: testbox.Program(t, "cis-pause"), Log: slog.Default(),
	}
	t.Cleanup(func() { checkNothingLeft(t, c) })
	return c
}

func newMachine(t testing.TB, c Config) *Machine {
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newNIC(t testing.TB) machine.NIC {
	return machine.NIC{NetNS: testbox.NetNS(t, nil), RouterNS: testbox.NetNS(t, nil), Address: "10.1.2.3"}
}

// checkNothingLeft looks for processes and mounts that know the machine's
// directory, and removes its cgroup.
func checkNothingLeft(t testing.TB, c Config) {
	m := newMachine(t, c)
	if left, err := m.List(context.Background()); err != nil || len(left) > 0 {
		t.Errorf("sandboxes left: %v %v", left, err)
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		command, _ := os.ReadFile(path)
		if strings.Contains(string(command), c.Dir) {
			t.Errorf("process left: %s %s", path, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	if mounts, _ := os.ReadFile("/proc/self/mounts"); strings.Contains(string(mounts), c.Dir) {
		t.Errorf("mounts left: %s", mounts)
	}
	if err := m.cgroups.Remove(context.Background(), c.Prefix); err != nil {
		t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	c := newConfig(t)
	machinetest.Run(t, machinetest.Target{
		New: func(t testing.TB) machine.Machine { return newMachine(t, c) }, NIC: newNIC,
		Rootfs: testbox.Image(t, nil), Volume: testbox.Erofs(t, map[string]string{"file": "content"}),
	})
}

func spec(t testing.TB, n int) machine.Sandbox {
	id := strconv.Itoa(n)
	return machine.Sandbox{
		ID: "s-" + strings.Repeat("0", 12-len(id)) + id, CPU: 500, Memory: 128 * api.MiB, Pids: 256, Hostname: "standby", NIC: newNIC(t),
	}
}

// processes lists those of a sandbox's cgroup.
func (m *Machine) processes(t testing.TB, group string) []int {
	root := "/sys/fs/cgroup"
	if m.cgroups.Version() == 1 {
		root += "/pids"
	}
	data, err := os.ReadFile(root + group + "/cgroup.procs")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, field := range strings.Fields(string(data)) {
		pid, _ := strconv.Atoi(field)
		pids = append(pids, pid)
	}
	return pids
}

func TestAgentKilled(t *testing.T) {
	m := newMachine(t, newConfig(t))
	s := spec(t, 1)
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	agents := m.processes(t, m.agentGroup(s.ID))
	if len(agents) != 1 {
		t.Fatalf("the agent's cgroup has %v", agents)
	}
	box, err := unix.PidfdOpen(m.processes(t, m.box(s.ID))[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(box)
	unix.Kill(agents[0], unix.SIGKILL)
	var n int
	for err = unix.EINTR; err == unix.EINTR; {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(box), Events: unix.POLLIN}}, 5000)
	}
	if n != 1 {
		t.Errorf("the sandbox outlives its agent: %v", err)
	}
	if _, err := m.Connect(t.Context(), s.ID); err == nil {
		t.Error("a dead agent answers")
	}
	if left, _ := m.List(t.Context()); len(left) != 1 {
		t.Errorf("list: %v", left)
	}
	if err := m.Destroy(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
}

func TestSandboxKilled(t *testing.T) {
	m := newMachine(t, newConfig(t))
	s := spec(t, 1)
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	defer m.Destroy(context.Background(), s.ID)
	conn, err := m.Connect(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	client := agentclient.New(conn)
	defer client.Close()
	load := &agentpb.Workload{ID: "run", Hostname: "h", EphemeralStorage: api.MiB, RestartPolicy: api.RestartAlways, Containers: []agentpb.Container{
		{Name: "main", Rootfs: testbox.Image(t, nil), Args: []string{"/bin/sleep", "1000"}, Cwd: "/"},
	}}
	if err := client.Run(t.Context(), load); err != nil {
		t.Fatal(err)
	}
	var killed time.Time
	for state, err := range client.Watch(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if state.Containers[0].State.Running != nil && killed.IsZero() {
			killed = time.Now()
			unix.Kill(m.processes(t, m.box(s.ID))[0], unix.SIGKILL)
		}
		if state.SandboxLost {
			t.Logf("lost after %v: %s %s", time.Since(killed), state.Reason, state.Message)
			return
		}
	}
}

func TestAgentPlace(t *testing.T) {
	inode := func(path string) uint64 {
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			t.Fatal(err)
		}
		return stat.Ino
	}
	home := inode("/proc/self/ns/net")
	m := newMachine(t, newConfig(t))
	s := spec(t, 1)
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	defer m.Destroy(context.Background(), s.ID)
	agent := strconv.Itoa(m.processes(t, m.agentGroup(s.ID))[0])
	if inode("/proc/"+agent+"/ns/net") != inode(s.NIC.RouterNS) {
		t.Error("the agent is not in the router's namespace")
	}
	if sid, _ := unix.Getsid(m.processes(t, m.agentGroup(s.ID))[0]); strconv.Itoa(sid) != agent {
		t.Error("the agent leads no session")
	}
	if inode("/proc/thread-self/ns/net") != home || inode("/proc/self/ns/net") != home {
		t.Error("a thread of ours was left in another namespace")
	}
	rss := ""
	status, _ := os.ReadFile("/proc/" + agent + "/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "RssAnon") {
			rss += strings.Join(strings.Fields(line), " ") + "; "
		}
	}
	t.Log("idle agent: ", rss)
}

// TestManyAtOnce starts 50 sandboxes at once, and tells what idle ones cost.
func TestManyAtOnce(t *testing.T) {
	const count = 50
	m := newMachine(t, newConfig(t))
	specs := make([]machine.Sandbox, count)
	for i := range specs {
		specs[i] = spec(t, i)
	}
	forAll := func(do func(machine.Sandbox) error) time.Duration {
		began := time.Now()
		var all sync.WaitGroup
		for _, s := range specs {
			all.Go(func() {
				if err := do(s); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	started := forAll(func(s machine.Sandbox) error { return m.Start(t.Context(), s) })
	t.Logf("%d started in %v", count, started)
	time.Sleep(time.Second)
	for _, kind := range []string{"sandbox", "agent"} {
		sums := map[string]int{}
		for _, s := range specs {
			for _, pid := range m.leaders(t, m.group(s.ID)+"/"+kind) {
				addRollup(sums, pid)
			}
		}
		line := kind + ", mean of each in KiB:"
		for _, name := range []string{"Rss", "Pss", "Pss_Anon", "Pss_File", "Pss_Shmem"} {
			line += " " + name + " " + strconv.Itoa(sums[name]/count)
		}
		t.Log(line)
		if mean := sums["Pss"] / count; mean > 12<<10 {
			t.Errorf("an idle %s takes %d KiB of its own", kind, mean)
		}
		if mean := sums["Rss"] / count; kind == "agent" && mean > 12<<10 {
			t.Errorf("an idle agent is resident with %d KiB", mean)
		}
	}
	t.Logf("%d destroyed in %v", count, forAll(func(s machine.Sandbox) error { return m.Destroy(t.Context(), s.ID) }))
}

// leaders are the processes of a group without those that share another's memory,
// as the stubs of one address space do.
func (m *Machine) leaders(t testing.TB, group string) []int {
	seen := map[string]bool{}
	var pids []int
	for _, pid := range m.processes(t, group) {
		rollup, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/maps")
		if !seen[string(rollup)] {
			seen[string(rollup)] = true
			pids = append(pids, pid)
		}
	}
	return pids
}

func addRollup(sums map[string]int, pid int) {
	rollup, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	for line := range strings.Lines(string(rollup)) {
		if fields := strings.Fields(line); len(fields) == 3 {
			kib, _ := strconv.Atoi(fields[1])
			sums[strings.TrimSuffix(fields[0], ":")] += kib
		}
	}
}

func BenchmarkLife(b *testing.B) {
	m := newMachine(b, newConfig(b))
	var starts, ends time.Duration
	for i := 0; b.Loop(); i++ {
		s := spec(b, i)
		began := time.Now()
		if err := m.Start(b.Context(), s); err != nil {
			b.Fatal(err)
		}
		starts += time.Since(began)
		began = time.Now()
		if err := m.Destroy(b.Context(), s.ID); err != nil {
			b.Fatal(err)
		}
		ends += time.Since(began)
	}
	b.ReportMetric(float64(starts.Milliseconds())/float64(b.N), "start-ms")
	b.ReportMetric(float64(ends.Microseconds())/1000/float64(b.N), "destroy-ms")
}

// joined makes a router's namespace and a sandbox's, joined by a veth as package
// network does it.
func joined(t testing.TB) machine.NIC {
	nic := machine.NIC{NetNS: testbox.NetNS(t, nil), RouterNS: testbox.NetNS(t, nil), Address: "10.7.0.2"}
	inner, err := os.Open(nic.NetNS)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	run := func(path, script string) {
		err := osthread.Do(func() error {
			if err := enterNetNS(path); err != nil {
				return err
			}
			cmd := exec.Command("/bin/sh", "-ec", script)
			cmd.ExtraFiles = []*os.File{inner}
			out, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	run(nic.RouterNS, "ip link add out0 type veth peer name eth0 netns /proc/self/fd/3; ip addr add 169.254.1.1/32 dev out0; ip link set out0 up; ip route add 10.7.0.2 dev out0")
	run(nic.NetNS, "ip addr add 10.7.0.2/32 dev eth0; ip link set eth0 up; ip route add 169.254.1.1 dev eth0 scope link; ip route add default via 169.254.1.1")
	return nic
}

// TestNetwork: a sandbox's address answers in the router's namespace, where the
// agent's probes come from, and the sandbox reaches the router.
func TestNetwork(t *testing.T) {
	m := newMachine(t, newConfig(t))
	s := spec(t, 1)
	s.NIC = joined(t)
	if err := m.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	defer m.Destroy(context.Background(), s.ID)
	conn, err := m.Connect(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	client := agentclient.New(conn)
	defer client.Close()
	load := &agentpb.Workload{ID: "run", Hostname: "h", EphemeralStorage: api.MiB, RestartPolicy: api.RestartNever, Containers: []agentpb.Container{{
		Name: "main", Rootfs: testbox.Image(t, nil), Cwd: "/", Env: []string{"PATH=/bin"}, Capabilities: []string{"CAP_NET_RAW"},
		Args:           []string{"/bin/sh", "-c", "ping -c 1 -W 5 169.254.1.1 >/tmp/ping && nc -ll -p 80 -e echo hello"},
		ReadinessProbe: &api.Probe{Handler: api.Handler{TCPSocket: &api.TCPSocketAction{Port: 80}}, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3},
	}}, Address: s.NIC.Address}
	if err := client.Run(t.Context(), load); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for state, err := range client.Watch(ctx, 0) {
		if err != nil || state.Finished {
			client.Logs(t.Context(), "main", 0, 0, func(c journal.Chunk) error {
				t.Logf("%q", c.Data)
				return nil
			})
			t.Fatalf("%+v %v", state, err)
		}
		if state.Containers[0].Ready {
			return
		}
	}
}
