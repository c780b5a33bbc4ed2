package e2e

import (
	"bytes"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cis/api"
	"cis/internal/busybox"
)

var volumeTests = tests{
	"emptyDir, on disk and in memory, with its limit": func(e *env) {
		for _, medium := range []string{"", ",medium=Memory"} {
			r := e.run("--mount", "type=emptyDir,dst=/v,size=8Mi"+medium, "--", "sh", "-c",
				"echo x >/v/x && cat /v/x; dd if=/dev/zero of=/v/big bs=1M count=32")
			e.equal("medium "+medium, r.Stdout, "x\n")
			if !strings.Contains(r.Stderr, "No space left on device") {
				e.Errorf("medium %q: no ENOSPC: %q", medium, r.Stderr)
			}
		}
	},
	"files": func(e *env) {
		name := e.create(api.InstanceSpec{
			Volumes: []api.Volume{{Name: "f", Files: &api.FilesVolume{Items: []api.FileItem{
				{Path: "sub/a.conf", Content: "text\n", Mode: "0640"}, {Path: "b", ContentBase64: "AAEC"}}}}},
			Containers: []api.Container{with(e.sh("cat /f/sub/a.conf; stat -c %a /f/sub/a.conf; wc -c </f/b; echo x >/f/b || echo read-only"),
				func(c *api.Container) { c.VolumeMounts = []api.VolumeMount{{Name: "f", MountPath: "/f"}} })},
		})
		e.ended(name)
		e.equal("output", e.cis("logs", name).Stdout, "text\n640\n3\nread-only\n")
	},
	"secrets": func(e *env) {
		secret := "s-" + e.name()
		e.ok("secret", "create", secret, "--from-literal", "key=hidden")
		e.Cleanup(func() { _, _ = e.stage.Cis(ctx(), "", "secret", "rm", secret) })
		e.equal("inside", e.out("--mount", "type=secret,src="+secret+",dst=/s", "--", "sh", "-c", "cat /s/key; stat -Lc ' %a' /s/key"), "hidden 400")
		if list := e.ok("secret", "list", "-o", "json"); strings.Contains(list, "hidden") || strings.Contains(list, "aGlkZGVu") {
			e.Errorf("the secret is shown: %s", list)
		}
		e.fails(125, []string{"nosuch"}, "run", "--rm", "--mount", "type=secret,src=nosuch,dst=/s", e.stage.Image, "true")
	},
	"files follow their secrets, all at once": followSecrets,
	"volumes are shared by containers": func(e *env) {
		mount := func(c *api.Container) { c.VolumeMounts = []api.VolumeMount{{Name: "v", MountPath: "/v"}} }
		name := e.create(api.InstanceSpec{Volumes: []api.Volume{{Name: "v", EmptyDir: &api.EmptyDir{}}}, Containers: []api.Container{
			with(with(e.sh("echo shared >/v/x.tmp; mv /v/x.tmp /v/x"), mount), func(c *api.Container) { c.Name = "writer" }),
			with(with(e.sh("while ! test -e /v/x; do sleep 0.05; done; cat /v/x"), mount), func(c *api.Container) { c.Name = "reader" }),
		}})
		e.ended(name)
		e.equal("output", e.ok("logs", "-c", "reader", name), "shared\n")
	},
	"parts of volumes": subPaths,
	"the message of a program's end": func(e *env) {
		name := e.create(api.InstanceSpec{Containers: []api.Container{
			with(e.sh("echo -n why >/dev/termination-log; exit 3"), func(c *api.Container) { c.TerminationMessagePath = "/dev/termination-log" }),
		}})
		in := e.ended(name)
		e.equal("message", in.Status.ContainerStatuses[0].State.Terminated.Message, "why")
		e.equal("of the instance", in.Status.Message, "container main ended with exit code 3: why")
	},
	"the group of volumes": func(e *env) {
		secret := "s-" + e.name()
		e.ok("secret", "create", secret, "--from-literal", "key=hidden")
		e.Cleanup(func() { _, _ = e.stage.Cis(ctx(), "", "secret", "rm", secret) })
		name := e.create(api.InstanceSpec{
			SecurityContext: &api.InstanceSecurityContext{FSGroup: new(int64(2000))},
			Volumes: []api.Volume{{Name: "d", EmptyDir: &api.EmptyDir{}}, {Name: "m", EmptyDir: &api.EmptyDir{Medium: "Memory"}},
				{Name: "s", Secret: &api.SecretVolume{SecretName: secret}}},
			Containers: []api.Container{with(e.sh("id -G; for d in /d /m; do stat -c '%a %g' $d; touch $d/x && stat -c '%u %g' $d/x; done; cat /s/key; stat -Lc ' %a %g' /s/key"),
				func(c *api.Container) {
					c.User = "1000:1000"
					c.VolumeMounts = []api.VolumeMount{{Name: "d", MountPath: "/d"}, {Name: "m", MountPath: "/m"}, {Name: "s", MountPath: "/s"}}
				})},
		})
		e.ended(name)
		e.equal("output", e.cis("logs", name).Stdout, "1000 2000\n2777 2000\n1000 2000\n2777 2000\n1000 2000\nhidden 440 2000\n")
	},
	"a read-only root": func(e *env) {
		r := e.run("--read-only", "--tmpfs", "/tmp", "--", "sh", "-c", "echo x >/root/x || echo refused; echo y >/tmp/y && cat /tmp/y")
		e.equal("stdout", r.Stdout, "refused\ny\n")
	},
	"what one instance writes no other sees": func(e *env) {
		e.out("--", "sh", "-c", "echo x >/root/mark")
		e.equal("second", e.out("--", "sh", "-c", "test -e /root/mark && echo seen || echo clean"), "clean")
	},
}

// watchTorn prints what it saw of two sets at once.
const watchTorn = "while :; do cd /p/..data && a=$(cat a 2>/dev/null) && b=$(cat b 2>/dev/null) && [ $a != $b ] && echo torn; sleep 0.01; done"

func followSecrets(e *env) {
	secret, later := "s-"+e.name(), "l-"+e.name()
	e.Cleanup(func() { _, _ = e.stage.Cis(ctx(), "", "secret", "rm", secret, later) })
	e.setSecret(secret, "1")
	name := e.create(api.InstanceSpec{
		Volumes: []api.Volume{{Name: "p", Projected: &api.ProjectedVolume{DefaultMode: "0440", Sources: []api.VolumeProjection{
			{Secret: &api.SecretProjection{Name: secret}},
			{Secret: &api.SecretProjection{Name: later, Optional: true, Items: []api.KeyToPath{{Key: "a", Path: "d/c", Mode: "0600"}}}}}}}},
		Containers: []api.Container{with(e.sh(watchTorn),
			func(c *api.Container) { c.VolumeMounts = []api.VolumeMount{{Name: "p", MountPath: "/p"}} })},
	})
	e.shows(name, "11")
	e.setSecret(secret, "2")
	e.shows(name, "22")
	e.setSecret(later, "3")
	e.shows(name, "223")
	big := filepath.Join(e.TempDir(), "a")
	e.write(big, bytes.Repeat([]byte("x"), 1<<20-1))
	e.ok("secret", "create", secret, "--from-file", big)
	e.until("it shows nearly 1 MiB", func() bool { return e.cis("exec", name, "sh", "-c", "wc -c </p/a; ls /p").Stdout == "1048575\na\nd\n" })
	e.equal("output", e.logs(name), "")
	e.ok("rm", "-f", name)
}

// setSecret gives a secret the keys a and b of the same value.
func (e *env) setSecret(name, value string) {
	e.Helper()
	e.ok("secret", "create", name, "--from-literal", "a="+value, "--from-literal", "b="+value)
}

// shows waits until an instance has read-only files of that content in /p.
func (e *env) shows(name, want string) {
	e.Helper()
	e.until("it shows "+want, func() bool {
		return e.cis("exec", name, "sh", "-c", "cat /p/a /p/b /p/d/c 2>/dev/null; stat -Lc ' %a' /p/a; touch /p/x 2>/dev/null || echo read-only").Stdout == want+" 440\nread-only\n"
	})
}

var specTests = tests{
	"capabilities": func(e *env) {
		effective := "awk '/CapEff/ {print $2}' /proc/self/status"
		e.equal("the default set", e.out("--", "sh", "-c", effective), "00000000a80425fb")
		e.equal("none", e.out("--cap-drop", "ALL", "--", "sh", "-c", effective), "0000000000000000")
		e.equal("one", e.out("--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--", "sh", "-c", effective), "0000000000001000")
	},
	"names of the host": func(e *env) {
		script := "hostname; echo $HOSTNAME; cat /etc/hostname; awk '/a-b/ {print $2, $3}' /etc/hosts"
		for want, spec := range map[string]api.InstanceSpec{
			"a-b.c\na-b.c\na-b.c\na-b.c":                         {Hostname: "a-b.c"},
			"a-b\na-b\na-b\na-b.x.test a-b":                      {Hostname: "a-b", Domain: "x.test"},
			"a-b.x.test\na-b.x.test\na-b.x.test\na-b.x.test a-b": {Hostname: "a-b", Domain: "x.test", SetHostnameAsFQDN: true},
		} {
			spec.Containers = []api.Container{{Image: e.stage.Image, Command: []string{"sh", "-c", script}}}
			name := e.create(spec)
			e.ended(name)
			e.equal("names", strings.TrimSpace(e.logs(name)), want)
		}
	},
	"system calls without a filter": func(e *env) {
		for _, kind := range []api.SeccompProfileType{api.SeccompRuntimeDefault, api.SeccompUnconfined} {
			name := e.create(api.InstanceSpec{Containers: []api.Container{{Image: e.stage.Image, User: "1000", Command: []string{"sh", "-c", "unshare -U true 2>/dev/null && echo made"},
				SecurityContext: &api.SecurityContext{SeccompProfile: &api.SeccompProfile{Type: kind}}}}})
			e.ended(name)
			want := "made\n"
			if kind == api.SeccompRuntimeDefault && e.isolation == "vm" {
				want = ""
			}
			e.equal("a namespace of users, "+string(kind), e.logs(name), want)
		}
	},
	"settings of the kernel": func(e *env) {
		spec := api.InstanceSpec{Isolation: api.Isolation(e.isolation), Containers: []api.Container{{Image: e.stage.Image,
			Command: []string{"sh", "-c", "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_local_port_range"}}},
			SecurityContext: &api.InstanceSecurityContext{Sysctls: []api.Sysctl{{Name: "kernel.shm_rmid_forced", Value: "1"}, {Name: "net.ipv4.ip_local_port_range", Value: "2000 3000"}}}}
		if e.isolation == "gvisor" {
			_, err := e.stage.Client.Create(e.Context(), api.CreateInstance{InstanceSpec: spec})
			if api.CodeOf(err) != api.Invalid || !strings.Contains(err.Error(), "securityContext.sysctls") {
				e.Error(err)
			}
			return
		}
		name := e.create(spec)
		e.ended(name)
		e.equal("settings", e.logs(name), "1\n2000\t3000\n")
	},
	"groups of the image's user": func(e *env) {
		image := e.stage.Registry + "/groups:1"
		layer, err := busybox.Layer(busybox.File{Name: "etc/group", Content: []byte("root:x:0:\nuser:x:1000:\nmore:x:2000:user\n")})
		if err == nil {
			err = e.stage.Push(e.Context(), "groups:1", busybox.Options{Layers: []v1.Layer{layer}})
		}
		if err != nil {
			e.Fatal(err)
		}
		for policy, want := range map[api.SupplementalGroupsPolicy]string{api.GroupsMerge: "1000 2000 3000", api.GroupsStrict: "1000 3000"} {
			name := e.create(api.InstanceSpec{Containers: []api.Container{{Image: image, User: "user", Command: []string{"id", "-G"},
				SecurityContext: &api.SecurityContext{SupplementalGroups: []int64{3000}, SupplementalGroupsPolicy: policy}}}})
			e.ended(name)
			e.equal("groups, "+string(policy), e.logs(name), want+"\n")
		}
	},
	"no new privileges": func(e *env) {
		ask := []string{"sh", "-c", "setpriv -d 2>/dev/null | grep no_new_privs"}
		e.equal("by default", e.out(append([]string{"--"}, ask...)...), "no_new_privs: 0")
		name := e.start("--security-opt", "no-new-privileges", "--", "sh", "-c", ask[2]+"; echo up; sleep 1000")
		e.saying(name, "no_new_privs: 1\nup")
		e.equal("in an exec", e.ok(append([]string{"exec", name}, ask...)...), "no_new_privs: 1\n")
	},
	"every mistake names its field": func(e *env) {
		for spec, field := range map[string]string{
			`{"containers":[]}`:                                                                              "containers",
			`{"containers":[{"image":"a b"}]}`:                                                               "containers[0].image",
			`{"containers":[{"image":"x"}],"cpu":0.07}`:                                                      "cpu",
			`{"containers":[{"image":"x"}],"memory":"1Ki"}`:                                                  "memory",
			`{"containers":[{"image":"x"}],"name":"-"}`:                                                      "name",
			`{"containers":[{"image":"x","volumeMounts":[{"name":"v","mountPath":"/v"}]}]}`:                  "containers[0].volumeMounts[0].name",
			`{"containers":[{"image":"x"}],"restartPolicy":"Sometimes"}`:                                     "restartPolicy",
			`{"containers":[{"image":"x","livenessProbe":{"exec":{"command":["a"]},"httpGet":{"port":1}}}]}`: "containers[0].livenessProbe",
			`{"containers":[{"image":"x"}],"contaners":[]}`:                                                  "contaners",
			`{"containers":[{"image":"x"}],"terminationGracePeriodSeconds":-1}`:                              "terminationGracePeriodSeconds",
		} {
			r := e.input(spec, "create", "-f", "-")
			if r.Code == 0 || !strings.Contains(r.Stderr, field) {
				e.Errorf("%s: exit code %d, want %q in %q", spec, r.Code, field, r.Stderr)
			}
		}
	},
	"yaml of several documents": func(e *env) {
		a, b := e.name(), e.name()
		doc := "name: %s\ncontainers:\n- image: " + e.stage.Image + "\n  command: [echo, hi]\n"
		r := e.input(strings.Replace(doc, "%s", a, 1)+"---\n"+strings.Replace(doc, "%s", b, 1), "create", "-f", "-")
		e.equal("names", r.Stdout, a+"\n"+b+"\n")
		e.ended(a)
		e.ended(b)
		e.equal("output", e.logs(b), "hi\n")
	},
	"labels select": func(e *env) {
		name := e.start("-l", "app=x", "-l", "case="+e.isolation, "--", "sleep", "1000")
		e.equal("selected", e.ok("ps", "-o", "name", "-l", "app=x"), e.ok("ps", "-o", "name", "--filter", "name="+name))
		e.equal("not selected", e.ok("ps", "-q", "-l", "app=x,case!="+e.isolation), "")
	},
}
