package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", file, got)
	}
}

var testNow = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) *time.Time {
	t := testNow.Add(-d)
	return &t
}

func ptr[T any](v T) *T { return &v }

// webInstance has something in every field that a description shows.
func webInstance() *api.Instance {
	return &api.Instance{
		ID: "i-0123456789ab", CreatedAt: *before(3 * time.Hour), Revision: 7,
		Spec: api.InstanceSpec{
			Name: "web", Labels: map[string]string{"tier": "front", "app": "web"},
			CPU: 500, Memory: 256 * api.MiB, EphemeralStorage: 10 * api.GiB, Hostname: "web",
			RestartPolicy: api.RestartAlways, Isolation: api.IsolationAuto,
			TerminationGracePeriodSeconds: ptr(int64(10)), ActiveDeadlineSeconds: ptr(int64(3600)),
			ImagePullSecrets: []string{"hub"},
			InitContainers:   []api.Container{{Name: "migrate", Image: "app:1", Args: []string{"migrate", "--all tables"}}},
			Containers: []api.Container{
				{
					Name: "app", Image: "registry.example.com/app@sha256:" + strings.Repeat("ab", 32),
					Command: []string{"/app"}, Env: []api.EnvVar{{Name: "A", Value: "1"}, {Name: "LANG", Value: "C"}},
					WorkingDir: "/srv", User: "1000", TTY: true, Stdin: true,
					Ports:        []api.ContainerPort{{ContainerPort: 80, Name: "http"}, {ContainerPort: 53, Protocol: "UDP"}},
					VolumeMounts: []api.VolumeMount{{Name: "cache", MountPath: "/cache"}, {Name: "tls", MountPath: "/tls", ReadOnly: true}},
					SecurityContext: &api.SecurityContext{ReadOnlyRootFilesystem: true,
						Capabilities: &api.Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"ALL"}}},
					ReadinessProbe: &api.Probe{Handler: api.Handler{HTTPGet: &api.HTTPGetAction{Path: "/healthz", Port: 80}}, PeriodSeconds: 5},
					LivenessProbe:  &api.Probe{Handler: api.Handler{TCPSocket: &api.TCPSocketAction{Port: 80}}},
					Lifecycle:      &api.Lifecycle{PreStop: &api.Handler{Exec: &api.ExecAction{Command: []string{"sleep", "1"}}}},
					Resources:      api.Resources{Limits: api.ResourceList{CPU: 250, Memory: 128 * api.MiB}},
				},
				{Name: "sidecar", Image: "side:2"},
			},
			Volumes: []api.Volume{
				{Name: "cache", EmptyDir: &api.EmptyDir{Medium: "Memory", SizeLimit: 64 * api.MiB}},
				{Name: "tls", Secret: &api.SecretVolume{SecretName: "tls"}},
			},
		},
		Status: api.InstanceStatus{
			Phase: api.PhaseRunning, Address: "10.7.0.2", Isolation: api.IsolationGVisor, Standby: true,
			StartedAt: before(5 * time.Minute),
			InitContainerStatuses: []api.ContainerStatus{{Name: "migrate", Image: "app:1", State: api.ContainerState{
				Terminated: &api.StateTerminated{Reason: api.ReasonCompleted, FinishedAt: *before(6 * time.Minute)}}}},
			ContainerStatuses: []api.ContainerStatus{
				{Name: "app", ImageID: "sha256:" + strings.Repeat("ab", 32), Ready: true, Started: true, RestartCount: 1,
					State: api.ContainerState{Running: &api.StateRunning{StartedAt: *before(4 * time.Minute)}},
					LastState: api.ContainerState{Terminated: &api.StateTerminated{ExitCode: 137, Signal: 9, Reason: api.ReasonOOMKilled,
						FinishedAt: *before(290 * time.Second)}}},
				{Name: "sidecar", State: api.ContainerState{Waiting: &api.StateWaiting{Reason: api.ReasonCrashLoopBackOff, Message: "back-off 20s"}}, RestartCount: 3},
			},
			Timings: api.Timings{Admission: 1.25, Image: 0.4, Network: 3, Container: 31.55, FirstOutput: 8, Total: 42.1},
		},
	}
}

func webEvents() []api.Event {
	return []api.Event{
		{ID: 1, Instance: "web", Type: api.EventNormal, Reason: "Pulled", Message: "Image app:1 is present", FirstSeen: *before(6 * time.Minute), LastSeen: *before(6 * time.Minute), Count: 1},
		{ID: 2, Instance: "web", Container: "sidecar", Type: api.EventWarning, Reason: "BackOff", Message: "Back-off restarting failed container\x1b[31m", FirstSeen: *before(4 * time.Minute), LastSeen: *before(10 * time.Second), Count: 3},
	}
}

func TestDescribeGolden(t *testing.T) {
	for name, styles := range map[string]palette{"describe.golden": false, "describe-color.golden": true} {
		d := newDescription(styles)
		d.now = testNow
		d.instance(webInstance(), "0.25 EUR", webEvents())
		var b bytes.Buffer
		if err := d.write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func TestInfoGolden(t *testing.T) {
	d := newDescription(false)
	d.info(&api.Info{
		Version: "0.1", Host: "box", Kernel: "6.18.0", CPUs: 2, Memory: 24 * api.GiB, DataDir: "/var/lib/cis",
		HostUsage: api.HostUsage{Time: testNow, Memory: 24 * api.GiB, MemoryAvailable: 22 * api.GiB, Disk: 252 * api.GiB, DiskAvailable: 53 * api.GiB,
			Inodes: 1000, InodesAvailable: 900, Pids: 212, PidsLimit: 32768},
		DefaultSize: api.Size{CPU: 500, Memory: 256 * api.MiB}, Sizes: []api.Size{{Name: "small", CPU: 1000, Memory: api.GiB}}, AnySize: true,
		Capacity:   api.Capacity{CPU: 8000, CPUUsed: 500, CPUOvercommit: 4, Memory: 20 * api.GiB, MemoryUsed: 256 * api.MiB, MemoryReserved: api.GiB},
		Isolations: []api.IsolationInfo{{Isolation: api.IsolationGVisor, Available: true, Default: true, Detail: "runsc, systrap"}, {Isolation: api.IsolationVM, Detail: "/dev/kvm does not run a guest"}},
		Standby:    []api.StandbyInfo{{CPU: 500, Memory: 256 * api.MiB, Wanted: 2, Ready: 1, Held: 80 * api.MiB, Hits: 10, Misses: 2, Paused: "the host is short of memory"}},
		Network:    api.NetworkInfo{VPC: "default", CIDR: "10.7.0.0/16", Gateway: "10.7.0.1", Used: 3, Available: 65530},
		Instances:  map[api.Phase]int{api.PhaseRunning: 3}, Images: 2, ImagesSize: 30 * api.MiB, ImagesMaxSize: 20 * api.GiB,
	})
	var b bytes.Buffer
	if err := d.write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "info.golden", b.String())
}

func TestStatusText(t *testing.T) {
	waiting := func(reason string) []api.ContainerStatus {
		return []api.ContainerStatus{{State: api.ContainerState{Waiting: &api.StateWaiting{Reason: reason}}}}
	}
	ended := func(code int, reason string) []api.ContainerStatus {
		return []api.ContainerStatus{{State: api.ContainerState{Terminated: &api.StateTerminated{ExitCode: code, Reason: reason}}}}
	}
	for _, tt := range []struct {
		want   string
		status api.InstanceStatus
	}{
		{"Running 5m", api.InstanceStatus{Phase: api.PhaseRunning, StartedAt: before(5 * time.Minute)}},
		{"Running CrashLoopBackOff", api.InstanceStatus{Phase: api.PhaseRunning, StartedAt: before(time.Minute), ContainerStatuses: waiting(api.ReasonCrashLoopBackOff)}},
		{"Running Stopping", api.InstanceStatus{Phase: api.PhaseRunning, StartedAt: before(time.Minute), Stopping: true}},
		{"Pending", api.InstanceStatus{Phase: api.PhasePending}},
		{"Pending ContainerCreating", api.InstanceStatus{Phase: api.PhasePending, ContainerStatuses: waiting(api.ReasonContainerCreating)}},
		{"Pending ImagePullBackOff", api.InstanceStatus{Phase: api.PhasePending,
			InitContainerStatuses: waiting(api.ReasonContainerCreating), ContainerStatuses: waiting(api.ReasonImagePullBackOff)}},
		{"Succeeded (0) 120m ago", api.InstanceStatus{Phase: api.PhaseSucceeded, ExitCode: ptr(0), FinishedAt: before(2 * time.Hour), ContainerStatuses: ended(0, api.ReasonCompleted)}},
		{"Failed (3) 9s ago", api.InstanceStatus{Phase: api.PhaseFailed, ExitCode: ptr(3), FinishedAt: before(9 * time.Second), ContainerStatuses: ended(3, api.ReasonError)}},
		{"Failed OOMKilled (137) 60s ago", api.InstanceStatus{Phase: api.PhaseFailed, ExitCode: ptr(137), FinishedAt: before(time.Minute), ContainerStatuses: ended(137, api.ReasonOOMKilled)}},
		{"Failed SandboxLost 60s ago", api.InstanceStatus{Phase: api.PhaseFailed, Reason: api.ReasonSandboxLost, FinishedAt: before(time.Minute)}},
	} {
		if got := statusText(&api.Instance{Status: tt.status}, testNow); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestTableLinesUp(t *testing.T) {
	tab := newTable(false, "NAME", "WHAT", "LAST")
	tab.add("a", "数据", "x")
	tab.add("long-name", "e\u0301", "")
	tab.add("b", "evil\x1b[2Jtext\nline", "z")
	var b bytes.Buffer
	if err := tab.write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.golden", b.String())
	tab.add("later", "w", "y")
	b.Reset()
	_ = tab.write(&b)
	if want := "later       w                   y\n"; b.String() != want {
		t.Errorf("a later row is %q, want %q", b.String(), want)
	}
}

func TestHumanAmounts(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{ago(-time.Second), "0s"}, {ago(119 * time.Second), "119s"}, {ago(2 * time.Minute), "2m"},
		{ago(150 * time.Second), "2m30s"}, {ago(10 * time.Minute), "10m"}, {ago(20 * time.Minute), "20m"}, {ago(3 * time.Hour), "3h"},
		{ago(200 * time.Minute), "3h20m"}, {ago(47 * time.Hour), "47h"}, {ago(72 * time.Hour), "3d"}, {ago(3 * 365 * 24 * time.Hour), "3y"},
		{size(0), "0B"}, {size(999), "999B"}, {size(1023), "1.00KiB"}, {size(256 * api.MiB), "256MiB"}, {size(1536 * api.MiB), "1.50GiB"}, {size(3 * 1024 * api.TiB), "3072TiB"},
		{millis(1.25), "1.2 ms"}, {millis(1234), "1.23 s"},
		{shortDigest("a/b@sha256:" + strings.Repeat("0", 64)), "a/b@sha256:000000000000"}, {shortDigest("busybox:1"), "busybox:1"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	a := api.FieldError("cpu", "must be a multiple of 0.05").WithNext("try 0.5")
	b := api.FieldError("containers[0].image", "is missing")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{a, "cis: cpu: must be a multiple of 0.05\n  → try 0.5\n"},
		{fmt.Errorf("document 2: %w", b), "cis: document 2: containers[0].image: is missing\n"},
		{api.Join([]*api.Error{a, b}), "cis: cpu: must be a multiple of 0.05\n  → try 0.5\ncis: containers[0].image: is missing\n"},
		{errors.New("plain\x1b[0m"), "cis: plain\uFFFD[0m\n"},
	} {
		var out bytes.Buffer
		(&app{Env: Env{Err: &out}}).printError(tt.err)
		if out.String() != tt.want {
			t.Errorf("got %q, want %q", out.String(), tt.want)
		}
	}
}
