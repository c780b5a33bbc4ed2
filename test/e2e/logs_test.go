package e2e

import (
	"regexp"
	"strings"
	"time"

	"cis/api"
)

var logTests = tests{
	"tail, timestamps and since": func(e *env) {
		name := e.name()
		e.ok("run", "--name", name, "--isolation", e.isolation, e.stage.Image, "sh", "-c", "echo one; echo two; sleep 2; echo three >&2")
		r := e.cis("logs", name)
		e.equal("stdout", r.Stdout, "one\ntwo\n")
		e.equal("stderr", r.Stderr, "three\n")
		e.equal("tail 1", e.cis("logs", "--tail", "1", name).Stderr, "three\n")
		e.equal("tail 0", e.ok("logs", "--tail", "0", name), "")
		stamped := e.ok("logs", "--timestamps", name)
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\S+ one\n`).MatchString(stamped) {
			e.Errorf("timestamps: %q", stamped)
		}
		at, err := time.Parse(time.RFC3339Nano, strings.Fields(stamped)[0])
		if err != nil {
			e.Fatal(err)
		}
		r = e.cis("logs", "--since", at.Add(time.Second).Format(time.RFC3339Nano), name)
		e.equal("since", r.Stdout+r.Stderr, "three\n")
	},
	"follow ends with the instance": func(e *env) {
		name := e.start("--", "sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.3; done")
		e.equal("lines", e.ok("logs", "-f", name), "1\n2\n3\n4\n")
	},
	"of the attempt before": func(e *env) {
		name := e.name()
		again := with(e.sh("test -e /work/x && { echo second; sleep 1000; }; touch /work/x; echo first; exit 1"),
			func(c *api.Container) { c.VolumeMounts = []api.VolumeMount{{Name: "work", MountPath: "/work"}} })
		e.create(api.InstanceSpec{Name: name, RestartPolicy: api.RestartOnFailure, Containers: []api.Container{again},
			Volumes: []api.Volume{{Name: "work", EmptyDir: &api.EmptyDir{}}}})
		e.when(name, "restarted", func(in api.Instance) bool {
			return len(in.Status.ContainerStatuses) > 0 && in.Status.ContainerStatuses[0].RestartCount > 0
		})
		e.until("the first attempt's log is there", func() bool { return strings.Contains(e.cis("logs", "--previous", name).Stdout, "first") })
	},
	"of several containers": func(e *env) {
		name := e.create(api.InstanceSpec{Containers: []api.Container{
			with(e.sh("echo from-a"), func(c *api.Container) { c.Name = "a" }),
			with(e.sh("echo from-b"), func(c *api.Container) { c.Name = "b" }),
		}})
		e.ended(name)
		e.equal("of one", e.ok("logs", "-c", "b", name), "from-b\n")
		all := e.logs(name)
		for _, want := range []string{"[a] from-a\n", "[b] from-b\n"} {
			if !strings.Contains(all, want) {
				e.Errorf("no %q in %q", want, all)
			}
		}
		e.fails(1, []string{"nosuch"}, "logs", "-c", "nosuch", name)
	},
	"of what does not exist": func(e *env) { e.fails(1, []string{"nosuch"}, "logs", "nosuch") },
}

// with changes a copy of a container.
func with(c api.Container, change func(*api.Container)) api.Container {
	change(&c)
	return c
}
