package runtimetest

import (
	"strings"
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
	"cis/internal/agent/runtime"
)

// testSubPath: containers have parts of volumes of every kind, in their order, and none
// leads out of its volume.
func testSubPath(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{Volumes: []agentpb.Volume{
		{Name: "data", SizeLimit: api.MiB}, {Name: "memory", Memory: true, SizeLimit: api.MiB, Group: new(uint32(2000))}, {Name: "conf", Files: true},
	}})
	files := []fileset.File{{Path: "a", Mode: 0o644, Data: []byte("one")}, {Path: "sub/b", Mode: 0o644, Data: []byte("two")}}
	if err := b.Runtime.SetFiles(t.Context(), "conf", files); err != nil {
		t.Fatal(err)
	}
	mounts := func(all ...agentpb.Mount) []agentpb.Mount { return all }
	for _, test := range []struct {
		name   string
		mounts []agentpb.Mount
		script string
		want   string
		change func(*agentpb.Container)
	}{
		{"a directory that is made", mounts(agentpb.Mount{Volume: "data", SubPath: "x/y", Path: "/srv/y"}),
			"echo in y >/srv/y/f; stat -c %a /srv/y; ls -A /dev | grep cis", "777\n", nil},
		{"the whole volume shows it", mounts(agentpb.Mount{Volume: "data", Path: "/data"}), "cat /data/x/y/f; ln -s /etc /data/abs; ln -s ../.. /data/up; ln -s x/y/f /data/in", "in y\n", nil},
		{"a file, by a symlink", mounts(agentpb.Mount{Volume: "data", SubPath: "in", Path: "/etc/new/f"}), "cat /etc/new/f; echo more >>/etc/new/f", "in y\n", nil},
		{"read-only", mounts(agentpb.Mount{Volume: "data", SubPath: "x/y", Path: "/y", ReadOnly: true}, agentpb.Mount{Volume: "data", SubPath: "z", Path: "/z", ReadOnly: true}),
			"cat /y/f; echo no >/y/f; ls -A /z; touch /z/f", "in y\nmore\n/bin/sh: can't create /y/f: Read-only file system\ntouch: /z/f: Read-only file system\n", nil},
		{"one in another", mounts(agentpb.Mount{Volume: "memory", SubPath: "m", Path: "/y"}, agentpb.Mount{Volume: "data", Path: "/y/data"}, agentpb.Mount{Volume: "data", SubPath: "x", Path: "/y/data/z"}),
			"stat -c '%a %g' /y; cat /y/data/z/y/f", "2777 2000\nin y\nmore\n", nil},
		{"files of secrets", mounts(agentpb.Mount{Volume: "conf", SubPath: "a", Path: "/etc/hosts"}, agentpb.Mount{Volume: "conf", SubPath: "sub", Path: "/sub"}),
			"cat /etc/hosts /sub/b; echo; echo no >/etc/hosts", "onetwo\n/bin/sh: can't create /etc/hosts: Read-only file system\n", nil},
		{"as a user, on a read-only root", mounts(agentpb.Mount{Volume: "data", SubPath: "x/y", Path: "/new/y"}, agentpb.Mount{Volume: "conf", SubPath: "a", Path: "/a"}),
			"cat /a /new/y/f; id; pwd; grep CapEff /proc/self/status; setpriv -d 2>/dev/null | grep no_new_privs; touch /tmp/x; echo $$ $A; umount /a",
			"onein y\nmore\nuid=1000(user) gid=1000 groups=7\n/bin\nCapEff:\t0000000000000000\nno_new_privs: 1\ntouch: /tmp/x: Read-only file system\n1 b c\numount: can't unmount /a: Operation not permitted\n",
			func(c *agentpb.Container) {
				c.UID, c.GID, c.Groups, c.Cwd, c.ReadOnly, c.NoNewPrivileges = 1000, 1000, []uint32{7}, "/bin", true, true
				c.Env = append(c.Env, "A=b c")
			}},
	} {
		c := b.Shell("main", test.script)
		c.Mounts = test.mounts
		if test.change != nil {
			test.change(c)
		}
		if _, output := b.RunContainer(c); output != test.want {
			t.Errorf("%s: %q, want %q", test.name, output, test.want)
		}
	}
	for path, want := range map[string]string{"abs": "leads out", "up": "leads out", "abs/passwd": "leads out", "in/x": "not a directory"} {
		c := b.Shell("main", "ls /m")
		c.Mounts = mounts(agentpb.Mount{Volume: "data", SubPath: path, Path: "/m"})
		if _, err := b.TryBegin(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one with %q", path, err, want)
		}
	}
	c := b.Shell("main", "")
	c.Args, c.Mounts = []string{"nothing"}, mounts(agentpb.Mount{Volume: "data", SubPath: "x", Path: "/m"})
	if _, err := b.TryBegin(c); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a program that does not exist: %v", err)
	}
	c.Args, c.TTY = []string{"/bin/sh"}, true
	Session(t, func(s runtime.Stdio) (runtime.Process, error) { return b.Runtime.Start(t.Context(), c, s) })
}
