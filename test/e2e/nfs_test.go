package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/test/stage"
)

// TestNFS mounts a real server's directory in VMs, and refuses to elsewhere.
func TestNFS(t *testing.T) {
	if err := stage.Build("packages test"); err != nil {
		t.Fatal(err)
	}
	s := open(t, stage.Config{Flags: []string{"-dns", outsideDNS(t)}})
	server, err := s.NFSServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.End(); err != nil {
			t.Error(err)
		}
	})
	for _, test := range []struct {
		name string
		run  func(*env, *stage.NFSServer)
	}{
		{"VMs share files", nfsShared},
		{"read-only, and a part of it", nfsReadOnly},
		{"versions", nfsVersions},
		{"gVisor is refused", nfsOnGVisor},
		{"what the server refuses is told", nfsRefused},
		{"a server that is away", nfsAway},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(&env{T: t, stage: s, isolation: "vm"}, server) })
	}
}

// share is the value of --nfs for a path in the container.
func share(server *stage.NFSServer, at string) string {
	return server.Address + ":" + stage.NFSExport + ":" + at
}

func nfsShared(e *env, server *stage.NFSServer) {
	writer := e.start("--nfs", share(server, "/srv"), "--", "sleep", "1000")
	e.ok("exec", writer, "sh", "-c", "echo from a VM >/srv/note; chown 1000:1000 /srv/note")
	e.equal("another VM reads", e.out("--nfs", share(server, "/mnt/deep"), "--", "cat", "/mnt/deep/note"), "from a VM")
	data, err := os.ReadFile(filepath.Join(server.Dir, "note"))
	if err != nil || string(data) != "from a VM\n" {
		e.Errorf("on the server: %q, %v", data, err)
	}
	if err := os.WriteFile(filepath.Join(server.Dir, "reply"), []byte("from the server"), 0o644); err != nil {
		e.Fatal(err)
	}
	e.equal("what the server has", e.ok("exec", writer, "cat", "/srv/reply"), "from the server")
	// Version 4.2 from a port of root's.
	mount := e.ok("exec", writer, "grep", " /srv ", "/proc/mounts")
	if !strings.Contains(mount, "vers=4.2") || !strings.Contains(mount, ",hard,") || strings.Contains(mount, "noresvport") {
		e.Error(mount)
	}
	e.ok("stop", writer)
}

func nfsReadOnly(e *env, server *stage.NFSServer) {
	if err := os.MkdirAll(filepath.Join(server.Dir, "part"), 0o755); err != nil {
		e.Fatal(err)
	}
	if r := e.run("--nfs", share(server, "/srv")+":ro", "--", "touch", "/srv/new"); r.Code == 0 || !strings.Contains(r.Stderr, "Read-only file system") {
		e.Errorf("%+v", r)
	}
	c := e.sh("echo part >/all/part/file && cat /part/file && ! touch /part/no")
	c.VolumeMounts = []api.VolumeMount{{Name: "v", MountPath: "/all"}, {Name: "v", MountPath: "/part", SubPath: "part", ReadOnly: true}}
	name := e.create(api.InstanceSpec{Containers: []api.Container{c}, RestartPolicy: api.RestartNever,
		Volumes: []api.Volume{{Name: "v", NFS: &api.NFSVolume{Server: server.Address, Path: stage.NFSExport}}}})
	e.equal("exit code", exitCode(e.ended(name)), 0)
	e.equal("output", strings.SplitN(e.logs(name), "\n", 2)[0], "part")
}

func nfsVersions(e *env, server *stage.NFSServer) {
	for version, says := range map[string]string{"3": "vers=3,", "4": "vers=4.2,", "4.0": "vers=4.0,", "4.1": "vers=4.1,"} {
		c := e.sh("grep ' /srv ' /proc/mounts; echo " + version + " >/srv/v" + version)
		c.VolumeMounts = []api.VolumeMount{{Name: "v", MountPath: "/srv"}}
		name := e.create(api.InstanceSpec{Containers: []api.Container{c}, RestartPolicy: api.RestartNever,
			// By the name that the instance's name server knows.
			Volumes:     []api.Volume{{Name: "v", NFS: &api.NFSVolume{Server: "outside.test", Path: stage.NFSExport, Version: version}}},
			HostAliases: []api.HostAlias{{IP: server.Address, Hostnames: []string{"outside.test"}}}})
		e.equal("exit code", exitCode(e.ended(name)), 0)
		if text := e.logs(name); !strings.Contains(text, says) {
			e.Errorf("%s: %s", version, text)
		}
	}
}

func nfsOnGVisor(e *env, server *stage.NFSServer) {
	for _, isolation := range []string{"auto", "gvisor"} {
		e.fails(125, []string{"volumes[0].nfs", "only a virtual machine", "--isolation vm"}, "run", "--isolation", isolation, "--nfs", share(server, "/srv"), e.stage.Image, "true")
	}
	e.equal("made", e.ok("ps", "-aq"), "")
}

func nfsRefused(e *env, server *stage.NFSServer) {
	r := e.run("--nfs", server.Address+":/nowhere:/srv", "--", "true")
	if r.Code == 0 || !strings.Contains(r.Stderr, "no such file or directory") || !strings.Contains(r.Stderr, "/nowhere of the NFS server "+server.Address) {
		e.Errorf("%+v", r)
	}
}

// nfsAway comes last: the server stays away.
func nfsAway(e *env, server *stage.NFSServer) {
	busy := e.start("--nfs", share(server, "/srv"), "--", "sh", "-c", "exec 3>/srv/open; while :; do echo more >&3; echo wrote; sleep 0.1; done")
	e.saying(busy, "wrote")
	if err := server.CutOff(); err != nil {
		e.Fatal(err)
	}
	name := e.create(api.InstanceSpec{Containers: []api.Container{e.sh("true")}, RestartPolicy: api.RestartAlways,
		Volumes: []api.Volume{{Name: "v", NFS: &api.NFSVolume{Server: server.Address, Path: stage.NFSExport}}}})
	in := e.when(name, "told of", func(in api.Instance) bool { return in.Status.Reason == api.ReasonFailedMount })
	if !strings.Contains(in.Status.Message, "volumes[0].nfs") || !strings.Contains(in.Status.Message, server.Address) || in.Status.Phase != api.PhasePending {
		e.Errorf("%+v", in.Status)
	}
	if ev := e.events(name)["BackOff"]; ev.Type != api.EventWarning || !strings.Contains(ev.Message, server.Address) {
		e.Errorf("event: %+v", ev)
	}
	e.ok("rm", "-f", name)
	if r := e.run("--nfs", share(server, "/srv"), "--", "true"); r.Code == 0 || !strings.Contains(r.Stderr, "NFS server "+server.Address) {
		e.Errorf("%+v", r)
	}
	began := time.Now()
	e.ok("stop", "-t", "1", busy)
	if took := time.Since(began); took > 40*time.Second {
		e.Errorf("a VM whose server is away was stopped after %v", took)
	}
	e.ok("rm", "-f", busy)
}
