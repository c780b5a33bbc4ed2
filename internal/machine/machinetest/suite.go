// Package machinetest is the conformance suite of machine.Machine: what every driver
// keeps to, tried through the agent's protocol as the engine uses it.
//
// It knows nothing of how a driver isolates; what only one driver can show is in
// that driver's own tests.
package machinetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
	"cis/internal/machine"
)

// Target is the driver under test.
type Target struct {
	// New makes the machine anew over the same state, as a restarted cisd does.
	New func(testing.TB) machine.Machine
	// NIC makes a network interface for a sandbox.
	NIC func(testing.TB) machine.NIC
	// AgentInside: the agent stands still with a paused sandbox.
	AgentInside bool
	// Rootfs is the image of testbox.Image, as a Container names it.
	Rootfs string
	// Volume is an image with one file, "file", that contains "content".
	Volume string
}

// Run tries everything. Afterwards no sandbox is left.
func Run(t *testing.T, target Target) {
	s := &suite{Target: target}
	for name, test := range map[string]func(*testing.T){
		"Check": s.check, "Life": s.life, "Absent": s.absent, "Twice": s.twice, "Cancelled": s.cancelled,
		"Broken": s.broken, "Outlives": s.outlives, "AtOnce": s.atOnce, "Pause": s.pause, "DestroyPaused": s.destroyPaused, "Workload": s.workload,
		"Volumes": s.volumes, "Disk": s.disk, "Limits": s.limits, "OutOfMemory": s.outOfMemory, "Commands": s.commands, "More": s.more, "Resize": s.resize,
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() {
				if left, err := target.New(t).List(context.Background()); err != nil || len(left) > 0 {
					t.Errorf("left behind: %v %v", left, err)
				}
			})
			test(t)
		})
	}
}

type suite struct {
	Target
	mu   sync.Mutex
	made int
}

// sandbox describes a small sandbox with a new ID.
func (s *suite) sandbox(t testing.TB) machine.Sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return machine.Sandbox{
		ID: "s-" + strings.Repeat("0", 9) + pad(s.made), CPU: 1000, Memory: 128 * api.MiB, Pids: 256,
		Hostname: "standby", NIC: s.NIC(t),
	}
}

func pad(n int) string {
	digits := strconv.Itoa(n)
	return strings.Repeat("0", 3-len(digits)) + digits
}

// box is a started sandbox with a client of its agent.
type box struct {
	*agentclient.Client
	m    machine.Machine
	id   string
	load *agentpb.Workload

	rootfs, volume string
}

// start starts a sandbox that is destroyed with the test.
func (s *suite) start(t *testing.T, spec machine.Sandbox) *box {
	t.Helper()
	m := s.New(t)
	if err := m.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	b := &box{m: m, id: spec.ID, rootfs: s.Rootfs, volume: s.Volume}
	t.Cleanup(func() {
		if err := m.Destroy(context.Background(), spec.ID); err != nil {
			t.Error(err)
		}
	})
	b.connect(t)
	b.load = &agentpb.Workload{
		ID: "run-1", Hostname: "web", Address: spec.NIC.Address, Nameservers: []string{"10.0.0.2"},
		RestartPolicy: api.RestartNever, GracePeriod: time.Second, EphemeralStorage: 64 * api.MiB, Pids: spec.Pids, Memory: spec.Memory,
	}
	return b
}

func (b *box) connect(t *testing.T) {
	t.Helper()
	conn, err := b.m.Connect(t.Context(), b.id)
	if err != nil {
		t.Fatal(err)
	}
	b.Client = agentclient.New(conn)
	t.Cleanup(func() { b.Close() })
}

// shell adds a container that runs a script.
func (s *suite) shell(b *box, name, script string, mounts ...agentpb.Mount) {
	b.load.Containers = append(b.load.Containers, agentpb.Container{
		Name: name, Rootfs: s.Rootfs, Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/bin"}, Cwd: "/",
		StopSignal: 15, Mounts: mounts,
	})
}

// until watches the workload until done says so.
func (b *box) until(t *testing.T, done func(agentpb.State) bool) agentpb.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for state, err := range b.Watch(ctx, 0) {
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		if done(state) {
			return state
		}
	}
	t.Fatal("the workload never came there")
	return agentpb.State{}
}

func finished(s agentpb.State) bool { return s.Finished || s.SandboxLost }

func running(s agentpb.State) bool {
	return len(s.Containers) > 0 && !slices.ContainsFunc(s.Containers, func(c agentpb.ContainerStatus) bool { return c.State.Running == nil })
}

// begin makes the workload run, as the engine does: once more does nothing.
func (b *box) begin(t *testing.T) {
	t.Helper()
	disks := machine.Disks{Images: []machine.Image{{Path: b.rootfs}, {Path: b.volume}}}
	for _, c := range b.load.Containers {
		disks.Layers = append(disks.Layers, machine.Layer{Container: c.Name, Size: b.load.EphemeralStorage})
	}
	for range 2 {
		if err := b.m.Equip(t.Context(), b.id, disks); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Run(t.Context(), b.load); err != nil {
		t.Fatal(err)
	}
}

// run runs the workload to its end.
func (b *box) run(t *testing.T) agentpb.State {
	t.Helper()
	b.begin(t)
	return b.until(t, finished)
}

// exec runs a script in a running container, with its output.
func (b *box) exec(t *testing.T, container, script string) (string, int) {
	t.Helper()
	var output strings.Builder
	code, err := b.Exec(t.Context(), agentpb.ExecStart{Container: container, Args: []string{"/bin/sh", "-c", script}},
		api.Streams{Stdout: &output, Stderr: &output})
	if err != nil {
		t.Fatalf("exec %q: %v", script, err)
	}
	return output.String(), code
}

func isNotFound(err error) bool {
	var failure *api.Error
	return errors.As(err, &failure) && failure.Code == api.NotFound
}
