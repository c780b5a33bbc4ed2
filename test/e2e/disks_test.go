package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cis/api"
)

// disk makes a disk of this isolation that is removed after the test.
func (e *env) disk(flags ...string) string {
	e.Helper()
	name := fmt.Sprintf("d%d", names.Add(1))
	e.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// A test may have removed it, or not have come to make it.
		_, _ = e.stage.Cis(ctx, "", "disk", "rm", name)
	})
	e.ok(append([]string{"disk", "create", name, "--isolation", e.isolation}, flags...)...)
	return name
}

// other is the isolation that a test does not run with.
func (e *env) other() string {
	return isolations[1-slices.Index(isolations, e.isolation)]
}

var diskTests = tests{
	"what is written stays": func(e *env) {
		d := e.disk("--size", "64Mi")
		e.equal("a new disk", e.out("--disk", d+":/data", "--", "sh", "-c", "stat -c %a /data; ls -A /data; echo kept >/data/a"), "777")
		e.equal("the next instance", e.out("--disk", d+":/data", "--", "cat", "/data/a"), "kept")
		e.equal("read-only", e.out("--disk", d+":/data:ro", "--", "sh", "-c", "cat /data/a; touch /data/b 2>/dev/null || echo refused"), "kept\nrefused")
		e.equal("another user", e.out("--disk", d+":/data", "-u", "1000:1000", "--", "sh", "-c", "echo mine >/data/u && stat -c %u /data/u"), "1000")
		e.equal("its owner later", e.out("--disk", d+":/data", "--", "stat", "-c", "%u %g", "/data/u"), "1000 1000")
	},
	"a disk is given to the group of its instance": func(e *env) {
		d := e.disk("--size", "64Mi")
		e.out("--disk", d+":/data", "--", "sh", "-c", "mkdir -m 700 /data/sub; echo kept >/data/sub/a; chmod 600 /data/sub/a")
		name := e.create(api.InstanceSpec{
			SecurityContext: &api.InstanceSecurityContext{FSGroup: new(int64(2000))},
			Volumes:         []api.Volume{{Name: "d", Disk: &api.DiskVolume{Name: d}}},
			Containers: []api.Container{with(e.sh("cat /data/sub/a; stat -c '%a %u %g' /data /data/sub /data/sub/a; touch /data/sub/b && stat -c %g /data/sub/b"),
				func(c *api.Container) {
					c.User, c.VolumeMounts = "1000:1000", []api.VolumeMount{{Name: "d", MountPath: "/data"}}
				})},
		})
		e.ended(name)
		e.equal("output", e.cis("logs", name).Stdout, "kept\n2777 0 2000\n2770 0 2000\n660 0 2000\n2000\n")
	},
	"a disk follows its instance over stop and start": func(e *env) {
		d := e.disk("--size", "64Mi")
		name := e.start("--disk", d+":/data", "--", "sh", "-c", "echo x >>/data/starts; sleep 1000")
		e.until("it has written", func() bool { return e.ok("exec", name, "cat", "/data/starts") == "x\n" })
		e.ok("restart", "-t", "0", name)
		e.until("it has written again", func() bool { return e.cis("exec", name, "cat", "/data/starts").Stdout == "x\nx\n" })
		e.ok("rm", "-f", name)
		e.equal("after its end", e.out("--disk", d+":/data", "--", "cat", "/data/starts"), "x\nx")
	},
	"a disk has one instance at a time": func(e *env) {
		d := e.disk("--size", "64Mi")
		name := e.start("--disk", d+":/data", "--", "sleep", "1000")
		e.fails(125, []string{"in use by instance " + name, "cis stop " + name}, "run", "--rm", "--disk", d+":/data", e.stage.Image, "true")
		for _, command := range [][]string{{"disk", "rm", d}, {"disk", "resize", d, "128Mi"}, {"disk", "snapshot", d}} {
			e.fails(1, []string{"in use by instance " + name}, command...)
		}
		e.ok("rm", "-f", name)
		e.ok("disk", "rm", d)
	},
	"a disk is for one isolation": func(e *env) {
		d := e.disk("--size", "64Mi")
		e.fails(125, []string{"volumes[0].disk", "isolation " + e.isolation}, "run", "--rm", "--isolation", e.other(), "--disk", d+":/data", e.stage.Image, "true")
		name := e.name()
		e.ok("run", "-d", "--name", name, "--disk", d+":/data", e.stage.Image, "true")
		e.equal("isolation without asking", string(e.ended(name).Status.Isolation), e.isolation)
	},
	"a disk is full, and grows": func(e *env) {
		d := e.disk("--size", "32Mi")
		script := "dd if=/dev/zero of=/data/$0 bs=1M count=48 2>&1 | grep -o 'No space left' || echo fits"
		e.equal("small", e.out("--disk", d+":/data", "--", "sh", "-c", script, "a"), "No space left")
		e.ok("disk", "resize", d, "128Mi")
		e.equal("bigger", e.out("--disk", d+":/data", "--", "sh", "-c", script, "b"), "fits")
		e.fails(1, []string{"only grows"}, "disk", "resize", d, "64Mi")
		e.fails(1, []string{"no room"}, "disk", "resize", d, "1000Ti")
	},
	"a snapshot is what the disk was": func(e *env) {
		d := e.disk("--size", "64Mi")
		e.out("--disk", d+":/data", "--", "sh", "-c", "echo before >/data/a")
		e.ok("disk", "snapshot", d, "--name", d+"-snap")
		e.Cleanup(func() { _, _ = e.stage.Cis(ctx(), "", "disk", "snapshot", "rm", d+"-snap") })
		e.out("--disk", d+":/data", "--", "sh", "-c", "echo after >/data/a")
		restored := e.disk("--from-snapshot", d+"-snap", "--size", "96Mi")
		e.equal("the restored disk", e.out("--disk", restored+":/data", "--", "sh", "-c", "cat /data/a; df -m /data | awk 'NR==2 {print ($2 > 70)}'"), "before\n1")
		e.equal("the disk itself", e.out("--disk", d+":/data", "--", "cat", "/data/a"), "after")
		e.ok("disk", "snapshot", "rm", d+"-snap")
		e.equal("without the snapshot", e.out("--disk", restored+":/data", "--", "cat", "/data/a"), "before")
	},
	"containers share a disk, and a restarted one finds it": func(e *env) {
		d := e.disk("--size", "64Mi")
		mount := func(name string) func(*api.Container) {
			return func(c *api.Container) {
				c.Name, c.VolumeMounts = name, []api.VolumeMount{{Name: "v", MountPath: "/v"}}
			}
		}
		name := e.create(api.InstanceSpec{RestartPolicy: api.RestartOnFailure,
			Volumes: []api.Volume{{Name: "v", Disk: &api.DiskVolume{Name: d}}}, Containers: []api.Container{
				with(e.sh("test -e /v/x && exit 0; echo shared >/v/x; exit 1"), mount("writer")),
				with(e.sh("while ! test -s /v/x; do sleep 0.05; done; cat /v/x"), mount("reader")),
			}})
		in := e.ended(name)
		e.equal("phase", in.Status.Phase, api.PhaseSucceeded)
		e.equal("output", e.ok("logs", "-c", "reader", name), "shared\n")
	},
	"a disk is attached to an instance that has ended": func(e *env) {
		d := e.disk("--size", "64Mi")
		name := e.start("--", "sh", "-c", "test -d /data && echo here >/data/a; true")
		e.ended(name)
		e.ok("disk", "attach", d, name+":/data")
		e.ok("start", name)
		e.ended(name)
		e.equal("on the disk", e.out("--disk", d+":/x", "--", "cat", "/x/a"), "here")
		e.ok("disk", "detach", d, name)
		e.ok("start", name)
	},
	"many files and links": func(e *env) {
		d := e.disk("--size", "64Mi")
		e.out("--disk", d+":/data", "--", "sh", "-c", "mkdir /data/d; i=0; while [ $i -lt 200 ]; do echo $i >/data/d/$i; i=$((i+1)); done; ln -s d /data/l; ln /data/d/7 /data/h; sync")
		e.equal("later", e.out("--disk", d+":/data", "--", "sh", "-c", "ls /data/l/ | wc -l; cat /data/d/199; stat -c %h /data/h"), "200\n199\n2")
	},
}

// diskFiles lists the files of disks and snapshots.
func (e *env) diskFiles() (names []string) {
	entries, err := os.ReadDir(filepath.Join(e.stage.Dir, "data", "disks"))
	if err != nil {
		e.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestDisksAndCrashes ends cisd at once in the middle of what is done with disks.
func TestDisksAndCrashes(t *testing.T) {
	ownStage(t, func(e *env) {
		d := e.disk("--size", "256Mi")
		e.out("--disk", d+":/data", "--", "sh", "-c", "dd if=/dev/urandom of=/data/big bs=1M count=64 2>/dev/null; sha1sum /data/big >/data/sum")
		name := e.start("--disk", d+":/data", "--", "sleep", "1000")
		e.crash()
		e.equal("the disk's instance after a crash", attachedTo(e, d), name)
		e.fails(125, []string{"in use by instance " + name}, "run", "--rm", "--disk", d+":/data", e.stage.Image, "true")
		e.equal("its files", e.ok("exec", name, "sha1sum", "-c", "/data/sum"), "/data/big: OK\n")
		e.ok("stop", "-t", "0", name)

		for i, args := range [][]string{
			{"disk", "create", "cut", "--size", "512Mi", "--isolation", e.isolation}, {"disk", "snapshot", d}, {"disk", "resize", d, "384Mi"},
		} {
			cmd := e.stage.Command(e.Context(), args...)
			if err := cmd.Start(); err != nil {
				e.Fatal(err)
			}
			time.Sleep(time.Duration(5+rand.IntN(40*(i+1))) * time.Millisecond)
			e.crash()
			_ = cmd.Wait() // its connection broke, or it was done
			e.onRecord()
		}
		if size := sizeOf(e, d); size != 256*api.MiB && size != 384*api.MiB {
			e.Errorf("the disk has %s", size)
		}
		e.equal("its files after all", e.out("--disk", d+":/data", "--", "sha1sum", "-c", "/data/sum"), "/data/big: OK")
		e.equal("room", e.out("--disk", d+":/data", "--", "sh", "-c", "df -m /data | awk 'NR==2 {print $2}'") != "", true)

		// What is cleaned away under a disk leaves the disk.
		e.start("--disk", d+":/data", "--", "sleep", "1000")
		if err := e.stage.Stop(); err != nil {
			e.Fatal(err)
		}
		if err := e.stage.Clean(); err != nil {
			e.Fatal(err)
		}
		e.equal("loop devices", strings.Join(e.stage.LoopDevices(), " "), "")
		e.again()
		e.onRecord()
	}, "-standby", "0")
}

func (e *env) read(ref string) api.Disk {
	e.Helper()
	d, err := e.stage.Client.Disk(e.Context(), ref)
	if err != nil {
		e.Fatal(err)
	}
	return d
}

func attachedTo(e *env, ref string) string { e.Helper(); return e.read(ref).AttachedTo }
func sizeOf(e *env, ref string) api.Bytes  { e.Helper(); return e.read(ref).Size }

// onRecord checks that the files are those on record.
func (e *env) onRecord() {
	e.Helper()
	var ids []string
	all, err1 := e.stage.Client.Disks(e.Context())
	snapshots, err2 := e.stage.Client.DiskSnapshots(e.Context())
	if err1 != nil || err2 != nil {
		e.Fatal(err1, err2)
	}
	for _, d := range all {
		ids = append(ids, d.ID)
	}
	for _, s := range snapshots {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	if files := e.diskFiles(); !slices.Equal(files, ids) {
		e.Errorf("the files are %v, and on record are %v", files, ids)
	}
}
