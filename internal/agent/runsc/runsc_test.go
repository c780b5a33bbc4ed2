package runsc

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/cgroup"
	"cis/internal/testbox"
)

// box is a booted sandbox with its cgroup.
type box struct {
	runtimetest.Box
	*Sandbox
	groups *cgroup.Tree
	group  string
	load   *agentpb.Workload
}

// boxOptions of a test; the zero value will do.
type boxOptions struct {
	limits  cgroup.Limits
	pids    int64
	volumes []agentpb.Volume
	image   map[string]string
	share   bool
	storage api.Bytes
}

// newBox boots a sandbox and prepares it for containers of a busybox image.
func newBox(t testing.TB, o boxOptions) *box {
	t.Helper()
	groups, err := cgroup.Open(cgroup.Root)
	if err != nil {
		t.Fatal(err)
	}
	dir := testbox.Dir(t)
	b := &box{Box: runtimetest.Box{T: t, Image: testbox.Image(t, o.image)}, groups: groups, group: "/cis-test-" + filepath.Base(dir)}
	t.Cleanup(func() {
		if err := groups.Remove(context.Background(), b.group); err != nil {
			t.Error(err)
		}
	})
	if err := groups.Create(b.group, o.limits); err != nil {
		t.Fatal(err)
	}
	conf := Config{
		ID: "s-0123456789ab", Dir: dir, Runsc: testbox.Runsc(t), Pause: testbox.Program(t, "cis-pause"),
		Cgroup: b.group, OOMEvents: groups.OOMEvents(b.group), PidsEvents: groups.PidsEvents(b.group),
		NetNS: testbox.NetNS(t, nil), Hostname: "standby",
	}
	conf.PauseImage = pauseImage(t, conf.Pause)
	b.load = &agentpb.Workload{
		ID: "run", Hostname: "web", Address: "10.1.2.3", Nameservers: []string{"10.1.0.2"}, Searches: []string{"vpc.internal"},
		Volumes: o.volumes, EphemeralStorage: max(o.storage, 64*api.MiB), Pids: o.pids, ShareProcesses: o.share,
	}
	if o.storage > 0 {
		b.load.EphemeralStorage = o.storage
	}
	for _, v := range o.volumes {
		if v.Image == "" && !v.Files {
			conf.Volumes = append(conf.Volumes, v)
		}
	}
	b.Sandbox, err = Boot(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	b.Runtime = b.Sandbox
	if err := b.Prepare(t.Context(), b.load); err != nil {
		t.Fatal(err)
	}
	return b
}

func pauseImage(t testing.TB, program string) string {
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	// The name in bin/ makes it executable.
	return testbox.Erofs(t, map[string]string{
		"dev/": "", "files/": "", "proc/": "", "sys/": "", "tmp/": "", "bin/": "", "bin/pause": string(content), "pause": "-> bin/pause",
	})
}

func TestConformance(t *testing.T) {
	runtimetest.Conform(t, func(t testing.TB, o runtimetest.Options) *runtimetest.Box {
		return &newBox(t, boxOptions{volumes: o.Volumes, image: o.Image, share: o.ShareProcesses}).Box
	})
}

func TestStartAndExit(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.Expect("echo hello; hostname; id -u", "hello\nweb\n0")
	for _, test := range []struct {
		script string
		want   runtime.Exit
	}{
		{"exit 0", runtime.Exit{}},
		{"exit 3", runtime.Exit{Code: 3}},
		{"kill -9 $$", runtime.Exit{Code: 137, Signal: 9}},
		{"kill -TERM $$; sleep 1; exit 7", runtime.Exit{Code: 143, Signal: 15}},
	} {
		if exit, _ := b.Run(test.script); exit != test.want {
			t.Errorf("%s: %+v, want %+v", test.script, exit, test.want)
		}
	}
}

func TestStdin(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "cat"))
	io.Copy(r.Stdin, bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 1<<14)))
	r.Stdin.Close()
	if exit, output := r.End(); exit.Code != 0 || len(output) != 1<<18 {
		t.Errorf("cat gave %d bytes, %+v", len(output), exit)
	}
}
