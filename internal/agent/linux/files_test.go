package linux

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/testbox"
)

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
