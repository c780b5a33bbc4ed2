package runsc

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/cgroup"
	"cis/internal/testbox"
)

// dockerCaps are those of a container by default.
var dockerCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// box is a booted sandbox with its cgroup.
type box struct {
	*Sandbox
	t      testing.TB
	image  string
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
	b := &box{t: t, image: testbox.Image(t, o.image), groups: groups, group: "/cis-test-" + filepath.Base(dir)}
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
		Volumes: o.volumes, EphemeralStorage: max(o.storage, 64*api.MiB), Pids: o.pids,
	}
	if o.storage > 0 {
		b.load.EphemeralStorage = o.storage
	}
	for _, v := range o.volumes {
		if v.Image == "" {
			conf.Volumes = append(conf.Volumes, v)
		}
	}
	b.Sandbox, err = Boot(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
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
		"dev/": "", "proc/": "", "sys/": "", "tmp/": "", "bin/": "", "bin/pause": string(content), "pause": "-> bin/pause",
	})
}

// shell describes a container that runs a script.
func (b *box) shell(name, script string) *agentpb.Container {
	return &agentpb.Container{
		Name: name, Rootfs: b.image, Args: []string{"/bin/sh", "-c", script}, Cwd: "/",
		Env: []string{"PATH=/bin"}, Capabilities: dockerCaps,
	}
}

// running is a started program with what it writes.
type running struct {
	t testing.TB
	runtime.Process
	stdin  *os.File
	output chan string
}

// streams makes pipes, hands them to start, and collects both outputs.
func streams(t testing.TB, start func(runtime.Stdio) (runtime.Process, error)) (*running, error) {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer inRead.Close()
	defer outWrite.Close()
	p, err := start(runtime.Stdio{Stdin: inRead, Stdout: outWrite, Stderr: outWrite})
	if err != nil {
		inWrite.Close()
		outRead.Close()
		return nil, err
	}
	r := &running{t: t, Process: p, stdin: inWrite, output: make(chan string, 1)}
	go func() {
		defer outRead.Close()
		data, _ := io.ReadAll(outRead)
		r.output <- string(data)
	}()
	t.Cleanup(func() { inWrite.Close() })
	return r, nil
}

// start starts a container or fails the test.
func (b *box) start(c *agentpb.Container) *running {
	b.t.Helper()
	r, err := streams(b.t, func(s runtime.Stdio) (runtime.Process, error) { return b.Start(b.t.Context(), c, s) })
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// exec runs a command in a running container.
func (b *box) exec(name string, e *agentpb.ExecStart) *running {
	b.t.Helper()
	r, err := streams(b.t, func(s runtime.Stdio) (runtime.Process, error) { return b.Exec(b.t.Context(), name, e, s) })
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// end waits for the end of a program, with its output.
func (r *running) end() (runtime.Exit, string) {
	r.t.Helper()
	type result struct {
		exit runtime.Exit
		err  error
	}
	done := make(chan result, 1)
	go func() {
		exit, err := r.Wait()
		done <- result{exit, err}
	}()
	select {
	case d := <-done:
		if d.err != nil {
			r.t.Fatalf("wait: %v", d.err)
		}
		return d.exit, <-r.output
	case <-time.After(30 * time.Second):
		r.t.Fatal("the program did not end")
	}
	return runtime.Exit{}, ""
}

// run starts a script in a container of its own, waits for it and deletes it.
func (b *box) run(script string) (runtime.Exit, string) {
	b.t.Helper()
	return b.runContainer(b.shell("main", script))
}

func (b *box) runContainer(c *agentpb.Container) (runtime.Exit, string) {
	b.t.Helper()
	r := b.start(c)
	exit, output := r.end()
	if err := r.Delete(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return exit, output
}

// expect runs a script and compares what it writes.
func (b *box) expect(script, want string) {
	b.t.Helper()
	exit, got := b.run(script)
	if strings.TrimSpace(got) != want || exit.Code != 0 {
		b.t.Errorf("%s\n gave %q (%+v)\n want %q", script, got, exit, want)
	}
}

// ready waits until a running program has written a line.
func (b *box) ready(name, probe string) {
	b.t.Helper()
	for range 200 {
		if exit, _ := b.exec(name, &agentpb.ExecStart{Args: []string{"/bin/sh", "-c", probe}}).end(); exit.Code == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("%s: %q never held", name, probe)
}

func TestStartAndExit(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.expect("echo hello; hostname; id -u", "hello\nweb\n0")
	for _, test := range []struct {
		script string
		want   runtime.Exit
	}{
		{"exit 0", runtime.Exit{}},
		{"exit 3", runtime.Exit{Code: 3}},
		{"kill -9 $$", runtime.Exit{Code: 137, Signal: 9}},
		{"kill -TERM $$; sleep 1; exit 7", runtime.Exit{Code: 143, Signal: 15}},
	} {
		if exit, _ := b.run(test.script); exit != test.want {
			t.Errorf("%s: %+v, want %+v", test.script, exit, test.want)
		}
	}
}

func TestStdin(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.start(b.shell("main", "cat"))
	io.Copy(r.stdin, bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 1<<14)))
	r.stdin.Close()
	if exit, output := r.end(); exit.Code != 0 || len(output) != 1<<18 {
		t.Errorf("cat gave %d bytes, %+v", len(output), exit)
	}
}
