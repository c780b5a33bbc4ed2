package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"cis/api"
)

// parseRun reads the flags of a run and gives its request.
func parseRun(t *testing.T, args ...string) (api.CreateInstance, error) {
	t.Helper()
	env := map[string]string{"HOME_SWEET": "here"}
	s := &specBuilder{getenv: func(k string) string { return env[k] }}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags.SetInterspersed(false)
	addSpecFlags(flags, s)
	if err := flags.Parse(args); err != nil {
		return api.CreateInstance{}, flagError(nil, err)
	}
	return s.build(flags.Arg(0), flags.Args()[1:], false), nil
}

func TestRunFlagsMakeSpec(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	envFile := file("env", "# comment\n\nA=1\n B=two words \r\nHOME_SWEET\nUNSET_HERE\nC=\n", 0o644)
	text, binary := file("a.conf", "listen 80\n", 0o640), file("b.bin", "\xff\x00", 0o600)
	auth := file("auth", "me:pa:ss\n", 0o600)

	for _, tt := range []struct{ name, args, want string }{
		{"image alone", "busybox", `{"containers":[{"image":"busybox"}]}`},
		{"arguments are not flags", "busybox ls -l --name x", `{"containers":[{"image":"busybox","args":["ls","-l","--name","x"]}]}`},
		{"identity", "--name web -l app=web --label tier= --hostname h b",
			`{"name":"web","labels":{"app":"web","tier":""},"containers":[{"image":"b"}],"hostname":"h"}`},
		{"size", "--cpu 0.5 --memory 256Mi --ephemeral-storage 1Gi b",
			`{"containers":[{"image":"b"}],"cpu":"0.5","memory":"256Mi","ephemeralStorage":"1Gi"}`},
		{"docker's units", "--cpu 500m -m 512m b", `{"containers":[{"image":"b"}],"cpu":"0.5","memory":"512Mi"}`},
		{"named size", "--size small b", `{"containers":[{"image":"b"}],"size":"small"}`},
		{"restart", "--restart on-failure b", `{"containers":[{"image":"b"}],"restartPolicy":"OnFailure"}`},
		{"restart no", "--restart=no b", `{"containers":[{"image":"b"}],"restartPolicy":"Never"}`},
		{"times", "--stop-timeout 0 --deadline 10m --ttl 1500ms b",
			`{"containers":[{"image":"b"}],"terminationGracePeriodSeconds":0,"activeDeadlineSeconds":600,"ttlSecondsAfterFinished":2}`},
		{"rm", "--rm b", `{"containers":[{"image":"b"}],"removeAfter":true}`},
		{"pipe", "-i b", `{"containers":[{"image":"b","stdin":true,"stdinOnce":true}]}`},
		{"terminal", "-it b", `{"containers":[{"image":"b","tty":true,"stdin":true}]}`},
		{"entrypoint", "--entrypoint /bin/sh b -c x", `{"containers":[{"image":"b","command":["/bin/sh"],"args":["-c","x"]}]}`},
		{"no entrypoint", "--entrypoint= b ls", `{"containers":[{"image":"b","command":["ls"]}]}`},
		{"env", "-e A=1 -e HOME_SWEET -e UNSET_HERE -e E= -e A=2 b",
			`{"containers":[{"image":"b","env":[{"name":"A","value":"2"},{"name":"HOME_SWEET","value":"here"},{"name":"E"}]}]}`},
		{"env file", "--env-file " + envFile + " -e A=9 b",
			`{"containers":[{"image":"b","env":[{"name":"A","value":"9"},{"name":"B","value":"two words "},{"name":"HOME_SWEET","value":"here"},{"name":"C"}]}]}`},
		{"user and dir", "-u 1000:50 -w /srv b", `{"containers":[{"image":"b","workingDir":"/srv","user":"1000:50"}]}`},
		{"security", "--cap-add CAP_NET_ADMIN,sys_time --cap-drop ALL --read-only --security-opt no-new-privileges b",
			`{"containers":[{"image":"b","securityContext":{"readOnlyRootFilesystem":true,"capabilities":{"add":["NET_ADMIN","SYS_TIME"],"drop":["ALL"]},"allowPrivilegeEscalation":false}}]}`},
		{"isolation", "--isolation vm b", `{"containers":[{"image":"b"}],"isolation":"vm"}`},
		{"pull", "--pull never --pull-secret s1 --pull-secret s2 b",
			`{"containers":[{"image":"b","imagePullPolicy":"Never"}],"imagePullSecrets":["s1","s2"]}`},
		{"auth", "--registry-auth me:x:y b", `{"containers":[{"image":"b"}],"registryAuth":{"username":"me","password":"x:y"}}`},
		{"auth file", "--registry-auth @" + auth + " b", `{"containers":[{"image":"b"}],"registryAuth":{"username":"me","password":"pa:ss"}}`},
		{"tmpfs", "--tmpfs /run --tmpfs /cache/:64m --tmpfs /c:size=1Gi b",
			`{"containers":[{"image":"b","volumeMounts":[{"name":"tmpfs-0","mountPath":"/run"},{"name":"tmpfs-1","mountPath":"/cache"},{"name":"tmpfs-2","mountPath":"/c"}]}],
			"volumes":[{"name":"tmpfs-0","emptyDir":{"medium":"Memory"}},{"name":"tmpfs-1","emptyDir":{"medium":"Memory","sizeLimit":"64Mi"}},{"name":"tmpfs-2","emptyDir":{"medium":"Memory","sizeLimit":"1Gi"}}]}`},
		{"mounts", "--mount type=emptyDir,dst=/data,size=2Gi --mount type=tmpfs,target=/t,readonly --mount type=secret,src=tls,dst=/etc/tls b",
			`{"containers":[{"image":"b","volumeMounts":[{"name":"empty-0","mountPath":"/data"},{"name":"empty-1","mountPath":"/t","readOnly":true},{"name":"secret-2","mountPath":"/etc/tls","readOnly":true}]}],
			"volumes":[{"name":"empty-0","emptyDir":{"sizeLimit":"2Gi"}},{"name":"empty-1","emptyDir":{"medium":"Memory"}},{"name":"secret-2","secret":{"secretName":"tls"}}]}`},
		{"disks", "--disk data:/var/lib/ --disk conf:/etc/app:ro b",
			`{"containers":[{"image":"b","volumeMounts":[{"name":"disk-0","mountPath":"/var/lib"},{"name":"disk-1","mountPath":"/etc/app","readOnly":true}]}],
			"volumes":[{"name":"disk-0","disk":{"name":"data"}},{"name":"disk-1","disk":{"name":"conf"}}]}`},
		{"nfs", "--nfs nas.lan:/export/:/data --nfs [fd00::1]:/:/all:ro b",
			`{"containers":[{"image":"b","volumeMounts":[{"name":"nfs-0","mountPath":"/data"},{"name":"nfs-1","mountPath":"/all","readOnly":true}]}],
			"volumes":[{"name":"nfs-0","nfs":{"server":"nas.lan","path":"/export"}},{"name":"nfs-1","nfs":{"server":"fd00::1","path":"/","readOnly":true}}]}`},
		{"files of one directory share a volume", "--file " + text + ":/conf/a.conf --file " + binary + ":/conf/b.bin --file " + text + ":/other/x b",
			`{"containers":[{"image":"b","volumeMounts":[{"name":"files-0","mountPath":"/conf","readOnly":true},{"name":"files-1","mountPath":"/other","readOnly":true}]}],
			"volumes":[{"name":"files-0","files":{"items":[{"path":"a.conf","content":"listen 80\n","mode":"0640"},{"path":"b.bin","contentBase64":"/wA=","mode":"0600"}]}},
			{"name":"files-1","files":{"items":[{"path":"x","content":"listen 80\n","mode":"0640"}]}}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := parseRun(t, strings.Fields(tt.args)...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(req)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, []byte(tt.want)); err != nil {
				t.Fatal(err)
			}
			if string(got) != want.String() {
				t.Errorf("run %s\n got %s\nwant %s", tt.args, got, want.String())
			}
		})
	}
}

func TestRunFlagsRefused(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--cpu much b", `--cpu: "much" is not an amount of cpu: use cores such as 0.5 or thousandths such as 500m`},
		{"-m -1 b", `--memory: "-1" is not an amount of bytes`},
		{"--restart unless-stopped b", `--restart: "unless-stopped" is not known: use no, on-failure or always`},
		{"--pull sometimes b", `--pull: "sometimes" is not known: use always, missing or never`},
		{"--disk data b", `--disk: "data" is not NAME:PATH[:ro]`},
		{"--nfs nas:/a b", `--nfs: "nas:/a" is not SERVER:/DIR:PATH[:ro]`},
		{"--nfs nas:a:/b b", `--nfs: "nas:a:/b" is not SERVER:/DIR:PATH[:ro]`},
		{"--nfs [fd00::1:/a:/b b", `--nfs: "[fd00::1:/a:/b" is not SERVER:/DIR:PATH[:ro]`},
		{"--nfs :/a:/b b", `--nfs: ":/a:/b" is not SERVER:/DIR:PATH[:ro]`},
		{"--disk data:/a:rx b", `--disk: "data:/a:rx" is not NAME:PATH[:ro]`},
		{"--isolation none b", `--isolation: "none" is not known: use auto, vm or gvisor`},
		{"-e =x b", `--env: "=x" is not an environment variable`},
		{"--env-file /nowhere b", `--env-file: open /nowhere: no such file or directory`},
		{"-l =x b", `--label: "=x" is not a label: use KEY=VALUE`},
		{"--deadline soon b", `--deadline: "soon" is not a time`},
		{"--ttl -5 b", `--ttl: "-5" is not a time`},
		{"--registry-auth me b", `--registry-auth: it must be USER:PASSWORD, or @FILE that holds it`},
		{"--tmpfs run b", `--tmpfs: "run" must be an absolute path`},
		{"--tmpfs /run:big b", `--tmpfs: "big" is not an amount of bytes`},
		{"--mount type=bind,src=/,dst=/x b", `--mount: type "bind" is not known: use emptyDir, tmpfs or secret`},
		{"--mount type=emptyDir,path=/x b", `--mount: "path" is not known: use type, src, dst, size, medium and readonly`},
		{"--mount type=secret,dst=/x b", `--mount: src must name the secret`},
		{"--file spec_test.go b", `--file: "spec_test.go" is not LOCAL:PATH`},
		{"--file spec_test.go:/etc/x b", `--file: the file would hide all others in /etc`},
		{"--file .:/x/y b", `--file: . must be a file of at most 1 MiB`},
		{"--name= b", `--name: it must not be empty`},
		{"--rm=maybe b", `--rm: "maybe" is not true or false`},
		{"--nmae x b", `unknown flag: --nmae`},
		{"-m", `flag needs an argument: 'm' in -m`},
	} {
		_, err := parseRun(t, strings.Fields(tt.args)...)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("run %s\n got %v\nwant %s", tt.args, err, tt.want)
		}
	}
}

// TestSpecFlagsAreOneTable: every flag of run but -d is a row, and has its words.
func TestSpecFlagsAreOneTable(t *testing.T) {
	rows := map[string]bool{"detach": true, "help": true}
	for _, f := range specFlags {
		if f.usage == "" || rows[f.name] {
			t.Errorf("flag %q has no usage, or stands twice", f.name)
		}
		rows[f.name] = true
	}
	a := &app{}
	a.runCommand().Flags().VisitAll(func(f *pflag.Flag) {
		if !rows[f.Name] {
			t.Errorf("--%s is not in specFlags", f.Name)
		}
	})
}

func TestManifest(t *testing.T) {
	doc := "name: a\ncontainers:\n- image: busybox\n  args: [echo, hi]\ncpu: 0.5\nmemory: 64Mi\n"
	for _, tt := range []struct {
		name, text string
		names      string
	}{
		{"one", doc, "a"},
		{"several", "# first\n---\n" + doc + "--- # second\nname: b\ncontainers: [{image: x}]\n---\n\n# nothing here\n", "a b"},
		{"json", `{"name":"a","containers":[{"image":"x"}]}` + "\n" + `{"name":"b","containers":[{"image":"x"}]}`, "a b"},
		{"dashes in text are no separator", "name: a\ncontainers:\n- image: x\n  args: [\"---\"]\n  command: [sh, -c, \"----\"]\n", "a"},
	} {
		reqs, err := parseManifest([]byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var names []string
		for _, r := range reqs {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != tt.names {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.names)
		}
	}
	for _, tt := range []struct{ text, want string }{
		{"name: a\ncontainers:\n- imgae: x\n", "containers[0].imgae"},
		{doc + "---\ncpu: [1]\n", "document 2: cpu"},
		{"name: [", "not valid YAML"},
		{"# nothing\n", "holds no instance"},
	} {
		_, err := readManifest("-", strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q", tt.text, err, tt.want)
		}
	}
}

func FuzzSplitDocuments(f *testing.F) {
	f.Add([]byte("a: 1\n---\nb: 2\n"))
	f.Add([]byte(`{"a":1}{"b":2}`))
	f.Add([]byte("--- |\n text\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, doc := range splitDocuments(data) {
			if len(bytes.TrimSpace(doc)) == 0 {
				t.Fatalf("an empty document in %q", data)
			}
		}
	})
}
