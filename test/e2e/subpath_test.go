package e2e

import (
	"strings"

	"cis/api"
)

// subPaths: containers have parts of volumes of each kind, and nothing outside of them.
func subPaths(e *env) {
	secret, d := "s-"+e.name(), e.disk("--size", "64Mi")
	e.ok("secret", "create", secret, "--from-literal", "key=hidden")
	e.Cleanup(func() { _, _ = e.stage.Cis(ctx(), "", "secret", "rm", secret) })
	volumes := []api.Volume{
		{Name: "d", Disk: &api.DiskVolume{Name: d}}, {Name: "e", EmptyDir: &api.EmptyDir{}}, {Name: "s", Secret: &api.SecretVolume{SecretName: secret}},
		{Name: "f", Files: &api.FilesVolume{Items: []api.FileItem{{Path: "sub/a", Content: "inline\n"}}}},
	}
	run := func(script string, mounts ...api.VolumeMount) string {
		e.Helper()
		name := e.create(api.InstanceSpec{Volumes: volumes, Containers: []api.Container{
			with(e.sh(script), func(c *api.Container) { c.VolumeMounts = mounts }),
		}})
		e.ended(name)
		return e.cis("logs", name).Stdout
	}
	e.equal("the first", run("echo kept >/a/x; echo also >/b/c/y; cat /b/d/x /etc/word /etc/inline",
		api.VolumeMount{Name: "f", SubPath: "sub/a", MountPath: "/etc/inline"}, api.VolumeMount{Name: "s", SubPath: "key", MountPath: "/etc/word"},
		api.VolumeMount{Name: "d", SubPath: "p/q", MountPath: "/b/d", ReadOnly: true}, api.VolumeMount{Name: "e", SubPath: "z", MountPath: "/b"},
		api.VolumeMount{Name: "d", SubPath: "p/q", MountPath: "/a"}, api.VolumeMount{Name: "d", SubPath: "p/r", MountPath: "/b/c"}), "kept\nhiddeninline\n")
	e.equal("the disk as a whole", run("cd /d && find p | sort && ln -s /etc /d/out", api.VolumeMount{Name: "d", MountPath: "/d"}), "p\np/q\np/q/x\np/r\np/r/y\n")
	name := e.create(api.InstanceSpec{Volumes: volumes, Containers: []api.Container{
		with(e.sh("ls /out"), func(c *api.Container) {
			c.VolumeMounts = []api.VolumeMount{{Name: "d", SubPath: "out", MountPath: "/out"}}
		}),
	}})
	in := e.ended(name)
	if end := in.Status.ContainerStatuses[0].State.Terminated; end == nil || !strings.Contains(end.Message, "leads out of the volume") {
		e.Errorf("a symlink that leads out: %+v", end)
	}
}
