package runtimetest

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fileset"
	"cis/internal/agent/runtime"
)

// Options of a box; the zero value will do.
type Options struct {
	Volumes []agentpb.Volume
	// Image has files that its image differs in, as testbox.Image takes them.
	Image map[string]string
	// ShareProcesses of the workload.
	ShareProcesses bool
}

// Conform tests what holds for every runtime that has real sandboxes. A new box is
// prepared with a workload that has the host name "web", the address 10.1.2.3, the name
// server 10.1.0.2 and the domain "vpc.internal".
func Conform(t *testing.T, newBox func(t testing.TB, o Options) *Box) {
	for name, test := range map[string]func(*testing.T, func(testing.TB, Options) *Box){
		"exec": testExec, "privileges": testPrivileges, "no new privileges": testNoNewPrivileges, "group of volumes": testGroup, "terminal": testTerminal, "instance files": testInstanceFiles,
		"instance files behind symlinks": testInstanceFilesBehindSymlinks, "read-only root": testReadOnlyRoot, "copy": testCopy, "files": testFiles, "parts of volumes": testSubPath, "last words": testLastWords,
		"shared processes": testSharedProcesses, "processes of a target": testTarget, "stats": testStats,
	} {
		t.Run(name, func(t *testing.T) { test(t, newBox) })
	}
}

func testExec(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{})
	c := b.Shell("main", "cat")
	c.Env = append(c.Env, "A=container")
	c.Cwd = "/etc"
	r := b.Begin(c)
	for _, test := range []struct {
		start *agentpb.ExecStart
		code  int
		want  string
	}{
		{Sh("echo $A; pwd; exit 4"), 4, "container\n/etc\n"},
		{&agentpb.ExecStart{Args: []string{"sh", "-c", "echo $A $0 '$A'; pwd"}, Env: []string{"A=x y"}, Cwd: "/bin"}, 0, "x y sh $A\n/bin\n"},
		{&agentpb.ExecStart{Args: []string{"id"}, User: &agentpb.User{UID: 1000, GID: 1000, Groups: []uint32{7}}}, 0, "uid=1000(user) gid=1000 groups=7\n"},
		{Sh("kill -TERM $$"), 143, ""},
		{Sh("echo over; echo under >&2"), 0, "over\nunder\n"},
	} {
		exit, output := b.Execute("main", test.start).End()
		if exit.Code != test.code || output != test.want {
			t.Errorf("%v: %+v %q", test.start.Args, exit, output)
		}
	}
	if _, err := b.TryExecute("main", &agentpb.ExecStart{Args: []string{"nothing"}}); err == nil {
		t.Error("exec of nothing started")
	}
	p := b.Execute("main", Sh("trap 'echo caught; exit 5' USR1; touch /tmp/ready; while :; do sleep 0.05; done"))
	b.Ready("main", "test -f /tmp/ready")
	if err := p.Signal(t.Context(), int(unix.SIGUSR1), false); err != nil {
		t.Error(err)
	}
	if exit, output := p.End(); exit.Code != 5 || output != "caught\n" {
		t.Errorf("%+v %q", exit, output)
	}
	if err := p.Signal(t.Context(), int(unix.SIGKILL), false); err == nil {
		t.Error("an ended program was signalled")
	}
	r.Stdin.Close()
	r.End()
	if err := r.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.TryExecute("main", Sh("true")); err == nil {
		t.Error("exec in a deleted container started")
	}
}

func testPrivileges(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{})
	for _, test := range []struct {
		uid  uint32
		caps []string
		want string
	}{
		{0, DockerCaps, "CapEff:\t00000000a80425fb"},
		{0, nil, "CapEff:\t0000000000000000"},
		{1000, DockerCaps, "CapEff:\t0000000000000000"},
	} {
		c := b.Shell("main", "grep CapEff /proc/self/status; echo hi >/dev/stdout; echo hi >/dev/stderr; cat </dev/stdin")
		c.UID, c.GID, c.Capabilities = test.uid, test.uid, test.caps
		r := b.Begin(c)
		_, executed := b.Execute("main", Sh("grep CapEff /proc/self/status")).End()
		r.Stdin.Close()
		_, output := r.End()
		if output != test.want+"\nhi\nhi\n" || executed != test.want+"\n" {
			t.Errorf("uid %d: %q, exec %q, want %q", test.uid, output, executed, test.want)
		}
		if err := r.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// testNoNewPrivileges asks with setpriv, since gVisor's /proc does not tell.
func testNoNewPrivileges(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{})
	const ask = "setpriv -d 2>/dev/null | grep no_new_privs"
	for _, set := range []bool{false, true} {
		want := map[bool]string{false: "no_new_privs: 0\n", true: "no_new_privs: 1\n"}[set]
		c := b.Shell("main", ask+"; cat")
		c.NoNewPrivileges = set
		r := b.Begin(c)
		_, executed := b.Execute("main", Sh(ask)).End()
		r.Stdin.Close()
		if _, output := r.End(); output != want || executed != want {
			t.Errorf("%v: %q, exec %q, want %q", set, output, executed, want)
		}
		if err := r.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// testGroup: who is in the group of a volume may write to it, and what is made there is
// the group's.
func testGroup(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{Volumes: []agentpb.Volume{
		{Name: "disk", SizeLimit: 1 << 20, Group: new(uint32(2000))}, {Name: "memory", Memory: true, SizeLimit: 1 << 20, Group: new(uint32(2000))},
	}})
	c := b.Shell("main", "for d in /disk /memory; do stat -c '%a %g' $d; touch $d/x && stat -c '%u %g' $d/x; done")
	c.UID, c.GID, c.Groups = 1000, 1000, []uint32{2000}
	c.Mounts = []agentpb.Mount{{Volume: "disk", Path: "/disk"}, {Volume: "memory", Path: "/memory"}}
	const want = "2777 2000\n1000 2000\n"
	if exit, output := b.RunContainer(c); exit.Code != 0 || output != want+want {
		t.Errorf("%+v %q", exit, output)
	}
}

func testTerminal(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{})
	c := b.Shell("main", "")
	c.Args, c.TTY = []string{"/bin/sh"}, true
	Session(t, func(s runtime.Stdio) (runtime.Process, error) { return b.Runtime.Start(t.Context(), c, s) })
	r := b.Begin(b.Shell("main", "cat"))
	Session(t, func(s runtime.Stdio) (runtime.Process, error) {
		return b.Runtime.Exec(t.Context(), "main", &agentpb.ExecStart{Args: []string{"/bin/sh"}, TTY: true}, s)
	})
	r.Stdin.Close()
	r.End()
}

func testInstanceFiles(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{})
	b.Expect("cat /etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tweb")
	b.Expect("cat /etc/hostname /etc/resolv.conf; stat -c '%a %u' /etc /etc/hosts; tail -1 /etc/passwd | cut -d: -f1",
		"web\nsearch vpc.internal\nnameserver 10.1.0.2\n755 0\n644 0\nuser")
	// Each attempt begins anew.
	b.Expect("echo mine >/etc/hosts && echo x >/x && cat /etc/hosts", "mine")
	b.Expect("ls /x 2>/dev/null; grep -c web /etc/hosts; stat -c %a /tmp", "1\n1777")
}

func testInstanceFilesBehindSymlinks(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{Image: map[string]string{
		"etc/": "!", "etc/passwd": "!", "etc/hosts": "!", "etc": "-> /usr/../usr/etc", "usr/": "", "usr/etc/": "", "usr/etc/keep": "kept\n",
		"usr/etc/resolv.conf": "-> ../run/elsewhere", "tmp/": "!",
	}})
	b.Expect("cat /etc/keep /usr/etc/hostname; grep nameserver /etc/resolv.conf; stat -c %a /tmp; ls -ld /etc | awk '{print $11}'",
		"kept\nweb\nnameserver 10.1.0.2\n1777\n/usr/../usr/etc")
}

func testReadOnlyRoot(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{Volumes: []agentpb.Volume{{Name: "data", SizeLimit: api.MiB}}})
	c := b.Shell("main", "touch /x /tmp/x /etc/hosts; echo to >/data/x; cat /data/x; grep web /etc/hosts; echo >/dev/null && echo y >/dev/shm/y && cat /dev/shm/y; cat")
	c.ReadOnly = true
	c.Mounts = []agentpb.Mount{{Volume: "data", Path: "/data"}}
	r := b.Begin(c)
	b.Ready("main", "test -f /dev/shm/y")
	var archive strings.Builder
	if err := b.Runtime.CopyOut(t.Context(), "main", "/etc/passwd", &archive); err != nil || !strings.Contains(archive.String(), "root:x:0") {
		t.Error(err)
	}
	if err := b.Runtime.CopyIn(t.Context(), "main", "/etc", strings.NewReader(archive.String())); err == nil || !strings.Contains(err.Error(), "read-only file system") {
		t.Error(err)
	}
	r.Stdin.Close()
	_, output := r.End()
	if strings.Count(output, "Read-only file system") != 3 || !strings.Contains(output, "to\n10.1.2.3\tweb\ny") {
		t.Error(output)
	}
}

func testCopy(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{Volumes: []agentpb.Volume{{Name: "data", SizeLimit: api.MiB}}})
	c := b.Shell("main", "mkdir -p /srv/a; echo hi >/srv/a/f; chmod 0640 /srv/a/f; ln -s f /srv/a/l; ln -s /data /srv/link; cat")
	c.Mounts = []agentpb.Mount{{Volume: "data", Path: "/data"}}
	r := b.Begin(c)
	b.Ready("main", "test -L /srv/link")
	var archive strings.Builder
	if err := b.Runtime.CopyOut(t.Context(), "main", "/srv/a", &archive); err != nil {
		t.Fatal(err)
	}
	// Into a volume, through a symlink.
	if err := b.Runtime.CopyIn(t.Context(), "main", "/srv/link", strings.NewReader(archive.String())); err != nil {
		t.Fatal(err)
	}
	_, output := b.Execute("main", Sh("cd /data/a; cat f l; stat -c '%a %N' f l")).End()
	if output != "hi\nhi\n640 f\n777 'l' -> 'f'\n" {
		t.Errorf("%q", output)
	}
	var failure *api.Error
	if err := b.Runtime.CopyOut(t.Context(), "main", "/nowhere", &archive); !errors.As(err, &failure) || failure.Code != api.NotFound {
		t.Error(err)
	}
	if err := b.Runtime.CopyIn(t.Context(), "main", "/etc/passwd", strings.NewReader(archive.String())); !errors.As(err, &failure) {
		t.Error(err)
	}
	if err := b.Runtime.CopyOut(t.Context(), "other", "/", &archive); !errors.As(err, &failure) || failure.Code != api.Conflict {
		t.Error(err)
	}
	r.Stdin.Close()
	r.End()
}

func testFiles(t *testing.T, newBox func(testing.TB, Options) *Box) {
	b := newBox(t, Options{Volumes: []agentpb.Volume{{Name: "conf", Files: true}, {Name: "other", Files: true}}})
	put := func(volume string, files ...fileset.File) {
		t.Helper()
		if err := b.Runtime.SetFiles(t.Context(), volume, files); err != nil {
			t.Fatal(err)
		}
	}
	put("conf", fileset.File{Path: "a", Mode: 0o640, Data: []byte("one")}, fileset.File{Path: "sub/b", Mode: 0o400, Data: []byte("two")})
	put("other", fileset.File{Path: "c", Mode: 0o444, Data: []byte("else")})
	c := b.Shell("main", "cat")
	c.Mounts = []agentpb.Mount{{Volume: "conf", Path: "/etc/conf"}, {Volume: "other", Path: "/other"}}
	r := b.Begin(c)
	b.Ready("main", "test -f /etc/conf/a")
	look := func(want string) {
		t.Helper()
		_, output := b.Execute("main", Sh("cd /etc/conf && for f in $(find * -follow -type f 2>/dev/null | sort); do echo $(cat $f) $(stat -Lc '%a %u:%g' $f); done; cat /other/c; echo; touch /etc/conf/x 2>&1 | grep -o Read-only")).End()
		if output != want+"else\nRead-only\n" {
			t.Errorf("it shows %q, not %q", output, want)
		}
	}
	look("one 640 0:0\ntwo 400 0:0\n")
	put("conf", fileset.File{Path: "a", Mode: 0o644, Data: []byte("three")}, fileset.File{Path: "d", Mode: 0o640, Group: 2000, Data: []byte("four")})
	look("three 644 0:0\nfour 640 0:2000\n")
	put("conf")
	look("")
	r.Stdin.Close()
	r.End()
	put("conf", fileset.File{Path: "a", Mode: 0o644, Data: []byte("five")})
	c = b.Shell("again", "cat /etc/conf/a")
	c.Mounts = []agentpb.Mount{{Volume: "conf", Path: "/etc/conf"}}
	if _, output := b.RunContainer(c); output != "five" {
		t.Errorf("another container sees %q", output)
	}
	big := fileset.File{Path: "big", Mode: 0o644, Data: make([]byte, fileset.VolumeSize)}
	if err := b.Runtime.SetFiles(t.Context(), "conf", []fileset.File{big}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
	if _, output := b.RunContainer(c); output != "five" {
		t.Errorf("after what failed it shows %q", output)
	}
}
