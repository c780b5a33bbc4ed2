package machinetest

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/journal"
	"cis/internal/machine"
)

func (s *suite) workload(t *testing.T) {
	b := s.start(t, s.sandbox(t))
	s.shell(b, "main", "hostname; grep web /etc/hosts | wc -l; echo wrong >&2; exit 3")
	s.shell(b, "side", "sleep 0.1; exit 0")
	state := b.run(t)
	if len(state.Containers) != 2 || state.Containers[0].State.Terminated == nil || state.Containers[0].State.Terminated.ExitCode != 3 ||
		state.Containers[1].State.Terminated.ExitCode != 0 {
		for _, c := range state.Containers {
			t.Errorf("%s: %+v", c.Name, c.State.Terminated)
		}
		t.Fatalf("%+v", state)
	}
	out, wrong := b.output(t, "main")
	if out != "web\n1\n" || wrong != "wrong\n" {
		t.Errorf("%q %q", out, wrong)
	}
}

func (s *suite) volumes(t *testing.T) {
	spec := s.sandbox(t)
	spec.Volumes = []machine.Volume{{Name: "disk", SizeLimit: 8 * api.MiB}, {Name: "memory", Memory: true, SizeLimit: 8 * api.MiB}}
	b := s.start(t, spec)
	b.load.Volumes = []agentpb.Volume{
		{Name: "disk", SizeLimit: 8 * api.MiB}, {Name: "memory", Memory: true, SizeLimit: 8 * api.MiB}, {Name: "files", Image: s.Volume},
	}
	mounts := []agentpb.Mount{{Volume: "disk", Path: "/disk"}, {Volume: "memory", Path: "/memory"}, {Volume: "files", Path: "/files", ReadOnly: true}}
	// The container is restarted once, and finds what it wrote before.
	b.load.RestartPolicy = api.RestartOnFailure
	s.shell(b, "one", "cat /disk/a && cat /memory/a && exit 0; echo disk >/disk/a; echo memory >/memory/a; exit 1", mounts...)
	s.shell(b, "two", "until test -f /memory/a; do sleep 0.05; done; cat /disk/a /memory/a /files/file; dd if=/dev/zero of=/disk/big bs=1M count=16", mounts...)
	b.load.Containers[1].Args[2] += "; true"
	state := b.run(t)
	if state.Containers[0].RestartCount != 1 || state.Containers[0].State.Terminated == nil || state.Containers[0].State.Terminated.ExitCode != 0 {
		t.Errorf("%+v", state.Containers[0])
	}
	out, wrong := b.output(t, "two")
	if out != "disk\nmemory\ncontent" || !strings.Contains(wrong, "No space left") {
		t.Errorf("%q %q", out, wrong)
	}
}

// output reads what a container wrote to each of its streams; between those there is
// no order.
func (b *box) output(t *testing.T, container string) (out, wrong string) {
	t.Helper()
	err := b.Logs(t.Context(), container, 0, 0, func(c journal.Chunk) error {
		for entry := range c.Entries() {
			if entry.Stream == journal.Stdout {
				out += string(entry.Data)
			} else {
				wrong += string(entry.Data)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return out, wrong
}

func (s *suite) limits(t *testing.T) {
	spec := s.sandbox(t)
	spec.CPU = 250
	b := s.start(t, spec)
	s.shell(b, "main", "while :; do :; done")
	b.begin(t)
	b.until(t, running)
	time.Sleep(1200 * time.Millisecond) // until the limit is enforced
	before, _ := b.m.Stats(t.Context(), spec.ID)
	began := time.Now()
	time.Sleep(1500 * time.Millisecond)
	after, err := b.m.Stats(t.Context(), spec.ID)
	share := (after.CPUSeconds - before.CPUSeconds) / time.Since(began).Seconds()
	if err != nil || share > 0.35 || share < 0.05 {
		t.Errorf("a quarter of a processor used %.2f, %v", share, err)
	}
	// Where there are cgroups inside, their limit is the one that counts.
	memory, _ := b.exec(t, "main", "f=/sys/fs/cgroup/memory.max; if test -e $f; then echo $(($(cat $f) >> 20)); else free -m | awk '/Mem/ {print $2}'; fi")
	if mib := strings.TrimSpace(memory); mib > "128" || mib < "100" {
		t.Errorf("the sandbox has %q MiB", mib)
	}
}

func (s *suite) outOfMemory(t *testing.T) {
	b := s.start(t, s.sandbox(t))
	s.shell(b, "main", "dd if=/dev/zero of=/dev/null bs=400M count=1")
	state := b.run(t)
	if !state.SandboxLost && (state.Containers[0].State.Terminated == nil || state.Containers[0].State.Terminated.ExitCode == 0) {
		t.Errorf("%+v", state)
	}
	if state.SandboxLost && state.Reason != api.ReasonOOMKilled {
		t.Errorf("reason %s: %s", state.Reason, state.Message)
	}
}

func (s *suite) commands(t *testing.T) {
	b := s.start(t, s.sandbox(t))
	s.shell(b, "main", "echo data >/tmp/file; nc -l -p 7 -e cat & trap 'exit 0' TERM; while :; do sleep 0.05; done")
	b.begin(t)
	b.until(t, running)
	if output, code := b.exec(t, "main", "until grep -q ':0007 ' /proc/net/tcp*; do sleep 0.05; done; echo hi; exit 5"); output != "hi\n" || code != 5 {
		t.Errorf("exec: %q %d", output, code)
	}
	ours, theirs := net.Pipe()
	forwarded := make(chan error, 1)
	go func() { forwarded <- b.PortForward(t.Context(), 7, theirs) }()
	io.WriteString(ours, "hello")
	answer := make([]byte, 5)
	if _, err := io.ReadFull(ours, answer); err != nil || string(answer) != "hello" {
		t.Errorf("port-forward: %q %v", answer, err)
	}
	ours.Close()
	<-forwarded
	var archive strings.Builder
	if err := b.CopyOut(t.Context(), "main", "/tmp/file", &archive); err != nil || !strings.Contains(archive.String(), "data\n") {
		t.Errorf("copy out: %v", err)
	}
	if err := b.CopyIn(t.Context(), "main", "/etc", strings.NewReader(archive.String())); err != nil {
		t.Errorf("copy in: %v", err)
	}
	if output, _ := b.exec(t, "main", "cat /etc/file"); output != "data\n" {
		t.Errorf("copied: %q", output)
	}
	if err := b.CopyOut(t.Context(), "main", "/nowhere", io.Discard); !isNotFound(err) {
		t.Errorf("copy of nothing: %v", err)
	}
	if err := b.Stop(t.Context(), time.Second, "the test ends"); err != nil {
		t.Error(err)
	}
	state := b.until(t, finished)
	if ended := state.Containers[0].State.Terminated; ended == nil || ended.ExitCode != 0 {
		t.Errorf("%+v", state)
	}
}
