package runsc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/cgroup"
	"cis/internal/testbox"
)

const noSpace = "No space left on device"

func TestRootIsBounded(t *testing.T) {
	b := newBox(t, boxOptions{storage: 16 * api.MiB})
	for _, path := range []string{"/big", "/tmp/big", "/etc/big"} {
		_, output := b.Run("dd if=/dev/zero of=" + path + " bs=1M count=64; stat -c %s " + path)
		if !strings.Contains(output, noSpace) {
			t.Errorf("writing 64 MiB to %s: %s", path, output)
		}
	}
	// Each attempt begins anew, and the mode of /tmp is the image's.
	b.Expect("ls / | grep -c big; stat -c %a /tmp; grep -c ' /tmp ' /proc/mounts; true", "0\n1777\n0")
}

func TestWritableLayerIsOnDiskAndFreed(t *testing.T) {
	b := newBox(t, boxOptions{storage: 512 * api.MiB, limits: cgroup.Limits{Memory: 128 * api.MiB}})
	// More than the memory limit: it can only be on disk.
	r := b.Begin(b.Shell("main", "dd if=/dev/zero of=/big bs=1M count=256; cat"))
	b.Ready("main", "test $(stat -c %s /big) = 268435456")
	if stored := b.stored(); stored < 256 {
		t.Errorf("256 MiB written, %d MiB in the stores", stored)
	}
	r.Stdin.Close()
	r.End()
	if err := r.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored := b.stored()
	for range 3000 { // gVisor gives the pages back in the background
		if stored = b.stored(); stored == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d MiB are left in the stores", stored)
}

// stored is what the sandbox keeps in the files of its writable layers, in MiB.
func (b *box) stored() int64 {
	pid, err := readPid(b.conf.pidFile())
	if err != nil {
		b.T.Fatal(err)
	}
	var sum int64
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, file := range files {
		name, _ := os.Readlink(file)
		var stat unix.Stat_t
		if strings.HasPrefix(name, b.conf.Dir+"/store") && unix.Stat(file, &stat) == nil {
			sum += stat.Blocks * 512
		}
	}
	return sum >> 20
}

func TestSystemMounts(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.Expect("ls /sys/fs/cgroup | wc -l; mkdir /sys/fs/cgroup/x 2>/dev/null || echo no; touch /sys/x 2>/dev/null || echo no", "0\nno\nno")
}

func TestDeviceFiles(t *testing.T) {
	b := newBox(t, boxOptions{})
	_, output := b.Run("dd if=/dev/zero of=/dev/shm/big bs=1M count=80; stat -c %s /dev/shm/big; stat -c %a /dev/shm; echo out >/dev/stdout; echo err >/dev/stderr; ls /dev")
	for _, want := range []string{noSpace, "67108864\n", "1777", "out\nerr", "null", "pts", "shm", "urandom"} {
		if !strings.Contains(output, want) {
			t.Errorf("no %q in %s", want, output)
		}
	}
}

func TestSharedVolumes(t *testing.T) {
	b := newBox(t, boxOptions{volumes: []agentpb.Volume{
		{Name: "disk", SizeLimit: 8 * api.MiB}, {Name: "memory", Memory: true, SizeLimit: 4 * api.MiB},
	}})
	mounted := func(name, script string, readOnly bool) *agentpb.Container {
		c := b.Shell(name, script)
		c.Mounts = []agentpb.Mount{{Volume: "disk", Path: "/disk", ReadOnly: readOnly}, {Volume: "memory", Path: "/srv/memory/deep", ReadOnly: readOnly}}
		return c
	}
	if exit, output := b.RunContainer(mounted("one", "stat -c %a /disk /srv/memory/deep; echo a >/disk/f; echo b >/srv/memory/deep/f", false)); exit.Code != 0 || output != "777\n777\n" {
		t.Fatal(exit, output)
	}
	holder := b.Begin(mounted("holder", "cat", false))
	// Another container, and a later attempt of the first, see what was written.
	for _, name := range []string{"two", "one"} {
		if _, output := b.RunContainer(mounted(name, "cat /disk/f /srv/memory/deep/f; touch /disk/g", true)); !strings.HasPrefix(output, "a\nb\n") || !strings.Contains(output, "Read-only") {
			t.Errorf("%s: %s", name, output)
		}
	}
	for _, path := range []string{"/disk/big", "/srv/memory/deep/big"} {
		if _, output := b.RunContainer(mounted("one", "dd if=/dev/zero of="+path+" bs=1M count=16; rm "+path, false)); !strings.Contains(output, noSpace) {
			t.Errorf("%s: %s", path, output)
		}
	}
	holder.Stdin.Close()
	holder.End()
}

func TestImageVolume(t *testing.T) {
	files := testbox.Erofs(t, map[string]string{"app.conf": "debug = true\n", "sub/": "", "sub/key": "secret"})
	b := newBox(t, boxOptions{volumes: []agentpb.Volume{{Name: "conf", Image: files}}})
	c := b.Shell("main", "cat /etc/app/app.conf /etc/app/sub/key; touch /etc/app/x")
	c.Mounts = []agentpb.Mount{{Volume: "conf", Path: "/etc/app"}}
	if _, output := b.RunContainer(c); !strings.Contains(output, "debug = true\nsecret") || !strings.Contains(output, "Read-only") {
		t.Error(output)
	}
}

func TestVolumeAtTmp(t *testing.T) {
	b := newBox(t, boxOptions{volumes: []agentpb.Volume{{Name: "tmp", SizeLimit: api.MiB}}})
	c := b.Shell("main", "dd if=/dev/zero of=/tmp/big bs=1M count=4; stat -c %s /tmp/big")
	c.Mounts = []agentpb.Mount{{Volume: "tmp", Path: "/tmp/"}}
	if _, output := b.RunContainer(c); !strings.Contains(output, noSpace) || !strings.Contains(output, "1048576\n") {
		t.Error(output)
	}
}

// TestCopyEnds: a reader that goes away, and a writer that never comes, end a copy.
func TestCopyEnds(t *testing.T) {
	b := newBox(t, boxOptions{})
	r := b.Begin(b.Shell("main", "cat"))
	ctx, cancel := context.WithCancel(t.Context())
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { out.Close() })
	go cancel()
	if err := b.CopyIn(ctx, "main", "/tmp", in); err == nil {
		t.Error("a cancelled copy succeeded")
	}
	if err := b.CopyOut(t.Context(), "main", "/bin", &brokenWriter{}); err == nil {
		t.Error("a copy to a broken writer succeeded")
	}
	r.Stdin.Close()
	r.End()
}

type brokenWriter struct{}

func (*brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }
