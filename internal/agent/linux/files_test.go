package linux

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime/runtimetest"
	"cis/internal/testbox"
)

func TestInstanceFiles(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.Expect("cat /etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tweb")
	b.Expect("cat /etc/hostname /etc/resolv.conf; stat -c '%a %u' /etc /etc/hosts; tail -1 /etc/passwd | cut -d: -f1",
		"web\nsearch vpc.internal\nnameserver 10.1.0.2\n755 0\n644 0\nuser")
	// Each attempt begins anew.
	b.Expect("echo mine >/etc/hosts && echo x >/x && cat /etc/hosts", "mine")
	b.Expect("ls /x 2>/dev/null; grep -c web /etc/hosts; stat -c %a /tmp", "1\n1777")
}

func TestInstanceFilesBehindSymlinks(t *testing.T) {
	b := newBox(t, boxOptions{image: map[string]string{
		"etc/": "!", "etc/passwd": "!", "etc/hosts": "!", "etc": "-> /usr/../usr/etc", "usr/": "", "usr/etc/": "", "usr/etc/keep": "kept\n",
		"usr/etc/resolv.conf": "-> ../run/elsewhere", "tmp/": "!",
	}})
	b.Expect("cat /etc/keep /usr/etc/hostname; grep nameserver /etc/resolv.conf; stat -c %a /tmp; ls -ld /etc | awk '{print $11}'",
		"kept\nweb\nnameserver 10.1.0.2\n1777\n/usr/../usr/etc")
}

func TestReadOnlyRoot(t *testing.T) {
	b := newBox(t, boxOptions{volumes: []agentpb.Volume{{Name: "data", SizeLimit: api.MiB}}})
	c := b.Shell("main", "touch /x /tmp/x /etc/hosts; echo to >/data/x; cat /data/x; grep web /etc/hosts; echo >/dev/null && echo y >/dev/shm/y && cat /dev/shm/y")
	c.ReadOnly = true
	c.Mounts = []agentpb.Mount{{Volume: "data", Path: "/data"}}
	_, output := b.RunContainer(c)
	if strings.Count(output, "Read-only file system") != 3 || !strings.Contains(output, "to\n10.1.2.3\tweb\ny") {
		t.Error(output)
	}
}

func TestSystemMounts(t *testing.T) {
	b := newBox(t, boxOptions{})
	b.Expect("mkdir /sys/fs/cgroup/pids/x 2>/dev/null || echo no; touch /sys/x 2>/dev/null || echo no; df -m /dev/shm | awk 'END {print $2}'; grep -c mqueue /proc/mounts", "no\nno\n64\n1")
	b.Expect("(echo 1 >/proc/sys/vm/drop_caches) 2>/dev/null || echo no; mknod /dev/kmsg2 c 1 11; (head -c 1 /dev/kmsg2) 2>/dev/null || echo no; cut -d: -f3 /proc/self/cgroup | sort -u",
		"no\nno\n/")
	b.Expect("grep Seccomp: /proc/self/status; (mount -t tmpfs x /tmp) 2>/dev/null || echo no; ls /proc/self/fd | wc -l", "Seccomp:\t2\nno\n4")
}

func TestVolumes(t *testing.T) {
	files := testbox.Erofs(t, map[string]string{"app.conf": "debug = true\n"})
	b := newBox(t, boxOptions{volumes: []agentpb.Volume{
		{Name: "disk"}, {Name: "memory", Memory: true, SizeLimit: 4 * api.MiB}, {Name: "conf", Image: files},
	}})
	mounted := func(name, script string, readOnly bool) *agentpb.Container {
		c := b.Shell(name, script)
		c.Mounts = []agentpb.Mount{
			{Volume: "disk", Path: "/disk", ReadOnly: readOnly}, {Volume: "memory", Path: "/srv/deep/", ReadOnly: readOnly}, {Volume: "conf", Path: "/etc/app"},
		}
		return c
	}
	if exit, output := b.RunContainer(mounted("one", "stat -c %a /disk /srv/deep; echo a >/disk/f; echo b >/srv/deep/f; dd if=/dev/zero of=/srv/deep/big bs=1M count=16", false)); !strings.HasPrefix(output, "777\n777\n") || !strings.Contains(output, "No space left") {
		t.Error(exit, output)
	}
	// Another container, and a later attempt of the first, see what was written.
	for _, name := range []string{"two", "one"} {
		_, output := b.RunContainer(mounted(name, "cat /disk/f /srv/deep/f /etc/app/app.conf; touch /disk/g; touch /etc/app/x", true))
		if !strings.HasPrefix(output, "a\nb\ndebug = true\n") || strings.Count(output, "Read-only") != 2 {
			t.Errorf("%s: %s", name, output)
		}
	}
}

// A container holds nothing of another that is deleted.
func TestMountsOfOthersGo(t *testing.T) {
	b := newBox(t, boxOptions{})
	first, second := b.Begin(b.Shell("first", "cat")), b.Begin(b.Shell("second", "cat"))
	first.Stdin.Close()
	first.End()
	if err := first.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	pid := second.Process.(*mainProcess).process.Pid
	mounts, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/mountinfo")
	if err != nil || strings.Contains(string(mounts), "layers/first") {
		t.Errorf("%v\n%s", err, mounts)
	}
	second.Stdin.Close()
	second.End()
}

func TestCopy(t *testing.T) {
	b := newBox(t, boxOptions{volumes: []agentpb.Volume{{Name: "data"}}})
	c := b.Shell("main", "mkdir -p /srv/a; echo hi >/srv/a/f; chmod 0640 /srv/a/f; ln -s f /srv/a/l; ln -s /data /srv/link; cat")
	c.Mounts = []agentpb.Mount{{Volume: "data", Path: "/data"}}
	r := b.Begin(c)
	b.Ready("main", "test -L /srv/link")
	var archive strings.Builder
	if err := b.CopyOut(t.Context(), "main", "/srv/a", &archive); err != nil {
		t.Fatal(err)
	}
	// Into a volume, through a symlink.
	if err := b.CopyIn(t.Context(), "main", "/srv/link", strings.NewReader(archive.String())); err != nil {
		t.Fatal(err)
	}
	_, output := b.Execute("main", runtimetest.Sh("cd /data/a; cat f l; stat -c '%a %N' f l")).End()
	if output != "hi\nhi\n640 f\n777 'l' -> 'f'\n" {
		t.Errorf("%q", output)
	}
	var failure *api.Error
	if err := b.CopyOut(t.Context(), "main", "/nowhere", &archive); !errors.As(err, &failure) || failure.Code != api.NotFound {
		t.Error(err)
	}
	if err := b.CopyIn(t.Context(), "main", "/etc/passwd", strings.NewReader(archive.String())); !errors.As(err, &failure) {
		t.Error(err)
	}
	if err := b.CopyOut(t.Context(), "other", "/", &archive); !errors.As(err, &failure) || failure.Code != api.Conflict {
		t.Error(err)
	}
	r.Stdin.Close()
	r.End()
}
