package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/api"
)

// webAndJob makes two instances, the second of which has failed.
func webAndJob(t *testing.T) *lab {
	l := newLab(t)
	l.want(l.cis("", "run", "-d", "--name", "web", "-l", "app=web", "sleep"), 0, "web\n", "")
	l.want(l.cis("", "run", "-d", "--name", "job", "--cpu", "1", "other"), 0, "job\n", "")
	if err := l.engine.Finish("job", 3); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPs(t *testing.T) {
	l := webAndJob(t)
	for _, tt := range []struct{ args, want string }{
		{"ps -q", "i-000000000001\n"},
		{"ps -aq", "i-000000000001\ni-000000000002\n"},
		{"ps -a -o name", "web\njob\n"},
		{"ps -a -o name -l app=web", "web\n"},
		{"ps -a -o name -l !app", "job\n"},
		{"ps -o name --filter status=exited", "job\n"},
		{"ps -o name --filter status=failed --filter status=running", "web\njob\n"},
		{"ps -a -o name --filter name=jo", "job\n"},
		{"ps -a -o name --filter image=sleep --filter label=app", "web\n"},
		{"ps -a -o name --filter image=sleep --filter name=job", ""},
		{"ps -o json --filter name=none", "[]\n"},
	} {
		l.want(l.cis("", strings.Fields(tt.args)...), 0, tt.want, "")
	}
	r := l.cis("", "ps", "-a")
	lines := strings.Split(r.out, "\n")
	if len(lines) != 4 || strings.Join(strings.Fields(lines[0]), " ") != "NAME IMAGE STATUS READY RESTARTS CPU MEMORY ADDRESS AGE" ||
		!strings.HasPrefix(lines[1], "web    sleep   Running") || !strings.HasPrefix(lines[2], "job    other   Failed (3)") {
		t.Errorf("ps -a:\n%s", r.out)
	}
	if strings.Contains(r.out, "\x1b") {
		t.Error("colour without a terminal")
	}
	var list []api.Instance
	if err := json.Unmarshal([]byte(l.cis("", "ps", "-a", "-o", "json").out), &list); err != nil || len(list) != 2 {
		t.Errorf("json: %v, %d items", err, len(list))
	}
	if r := l.cis("", "ps", "-a", "-o", "yaml"); !strings.HasPrefix(r.out, "- createdAt:") {
		t.Errorf("yaml:\n%s", r.out)
	}
	l.want(l.cis("", "ps", "-o", "xml"), 2, "", `cis: --output: "xml" is not an output format: use wide, json, yaml, name`)
	l.want(l.cis("", "ps", "--filter", "color=red"), 2, "", `cis: --filter: "color" is not known`)
	l.want(l.cis("", "ps", "--filter", "status=gone"), 2, "", `cis: --filter: status "gone" is not known`)
	l.want(l.cis("", "ps", "-l", "=="), 1, "", "cis: ")
}

func TestPsWatch(t *testing.T) {
	l := webAndJob(t)
	p := l.start(nil, "ps", "--watch", "-o", "name")
	p.expect("web\n")
	l.want(l.cis("", "run", "-d", "--name", "late", "other"), 0, "late\n", "")
	p.expect("late\n")
	p.kill()
}

func TestInspect(t *testing.T) {
	l := webAndJob(t)
	if r := l.cis("", "inspect", "web"); r.code != 0 || !strings.HasPrefix(r.out, "Name:             web\n") || !strings.Contains(r.out, "Started") {
		t.Errorf("%+v", r)
	}
	var one api.Instance
	if err := json.Unmarshal([]byte(l.cis("", "inspect", "web", "-o", "json").out), &one); err != nil || one.Spec.Name != "web" {
		t.Errorf("one: %v %v", one.Spec.Name, err)
	}
	var two []api.Instance
	if err := json.Unmarshal([]byte(l.cis("", "inspect", "web", "job", "-o", "json").out), &two); err != nil || len(two) != 2 {
		t.Errorf("two: %v %v", len(two), err)
	}
	l.want(l.cis("", "inspect", "nobody"), 1, "", "cis: there is no instance \"nobody\"\n")
}

func TestLifecycle(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "update", "--secgroup", "front", "--secgroup", "db", "web"), 0, "web\n", "")
	l.want(l.cis("", "update", "web"), 2, "", "there is nothing to change: use --cpu")
	l.want(l.cis("", "update", "--cpu", "1", "-m", "512Mi", "--secgroup", "db", "web"), 0, "web\n", "")
	l.want(l.cis("", "update", "--container", "main", "--memory", "64Mi", "web"), 0, "web\n", "")
	if web, err := l.engine.Get(t.Context(), "web"); err != nil || web.Spec.CPU != 1000 || web.Spec.Memory != 512*api.MiB ||
		web.Spec.Containers[0].Resources.Limits != (api.ResourceList{Memory: 64 * api.MiB}) {
		t.Errorf("%+v %v", web.Spec, err)
	}
	l.want(l.cis("", "update", "--cpu", "1", "nobody"), 1, "", "no instance")
	l.want(l.cis("", "update", "--memory", "33000", "web"), 1, "", "memory: must be a multiple of 1Mi")
	l.want(l.cis("", "update", "--cpu", "0", "web"), 2, "", "--cpu: must be more than 0")
	l.want(l.cis("", "update", "--container", "main", "web"), 2, "", "--container needs --cpu or --memory")
	l.want(l.cis("", "update", "--container", "main", "--size", "s", "web"), 2, "", "--container excludes --size")
	l.want(l.cis("", "stop", "-t", "5", "web"), 0, "web\n", "")
	if grace := <-l.engine.stops; grace == nil || *grace != 5*time.Second {
		t.Errorf("grace %v", grace)
	}
	l.want(l.cis("", "kill", "-s", "sighup", "web"), 0, "web\n", "")
	l.want(l.cis("", "kill", "web"), 0, "web\n", "")
	if got := fmt.Sprint(l.engine.Signals); got != "[1 9]" {
		t.Errorf("signals %v", got)
	}
	l.want(l.cis("", "kill", "-s", "NOPE", "web"), 2, "", `cis: --signal: "NOPE" is not a signal`)
	l.want(l.cis("", "start", "job", "web"), 1, "job\n", "cis: web runs already\n")
	_ = l.engine.Finish("job", 4)
	l.want(l.cis("", "wait", "job"), 0, "4\n", "")
	l.want(l.cis("", "rm", "web", "job", "nobody"), 1, "job\n", "cis: web still runs\n  → ")
	l.want(l.cis("", "rm", "-f", "web", "nobody"), 0, "web\nnobody\n", "")
	l.want(l.cis("", "ps", "-aq"), 0, "", "")
}

func TestCreate(t *testing.T) {
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "two.yaml")
	text := "name: a\ncontainers: [{image: x, args: [echo, hi]}]\nmemory: 64Mi\n---\nname: b\ncontainers: [{image: x}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(l.cis("", "create", "-f", file), 0, "a\nb\n", "")
	if r := l.engine.created[0]; r.Memory != 64*api.MiB || r.Containers[0].Args[1] != "hi" {
		t.Errorf("%+v", r)
	}
	l.want(l.cis("name: c\ncontainers: [{image: x}]\nmemroy: 1Gi\n", "create", "-f", "-"), 1, "", "cis: memroy: ")
	l.want(l.cis("", "create"), 2, "", "cis: -f FILE is needed")
	l.want(l.cis("", "create", "-f", "/nowhere"), 1, "", "cis: open /nowhere: no such file or directory\n")
	if r := l.cis("name: d\ncontainers: [{image: x}]", "create", "-f", "-", "-o", "json"); !strings.HasPrefix(r.out, `{"id":`) || strings.Count(r.out, "\n") != 1 {
		t.Errorf("%+v", r)
	}
}

func TestCopy(t *testing.T) {
	l := webAndJob(t)
	dir := t.TempDir()
	inside := func(path string) string { return filepath.Join(l.engine.root, path) }
	here := func(path string) string { return filepath.Join(dir, path) }
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write(inside("etc/app/a.conf"), "A")
	write(inside("etc/app/sub/b.conf"), "B")
	write(inside("srv/keep"), "K")
	if err := os.Symlink("srv", inside("link")); err != nil {
		t.Fatal(err)
	}
	write(here("site/index.html"), "I")
	write(here("site/css/x.css"), "X")
	write(here("file"), "F")
	write(here("taken"), "T")

	for _, tt := range []struct {
		args, err string
		// path and text of a file that must be there afterwards
		path, text string
	}{
		{"web:/etc/app/a.conf HERE", "", here("a.conf"), "A"},
		{"web:etc/app/a.conf HERE/renamed", "", here("renamed"), "A"},
		{"web:/etc/app/a.conf HERE/taken", "", here("taken"), "A"},
		{"web:/etc/app HERE", "", here("app/sub/b.conf"), "B"},
		{"web:/etc/app HERE/new", "", here("new/sub/b.conf"), "B"},
		{"web:/etc/app/. HERE/app2", "", here("app2/a.conf"), "A"},
		{"web:/etc/app/. HERE/site", "", here("site/a.conf"), "A"},
		{"web:/etc/app HERE/file", "is a file, and a directory cannot replace it", "", ""},
		{"web:/etc/app/a.conf HERE/none/", "there is no directory", "", ""},
		{"web:/etc/none HERE", "no such file or directory", "", ""},
		{"web:/link/. HERE/linked", "", here("linked/keep"), "K"},
		{"web:/link HERE/aslink", "", "", ""},
		{"nobody:/etc HERE", "there is no instance", "", ""},

		{"HERE/file web:/srv", "", inside("srv/file"), "F"},
		{"HERE/file web:/srv/renamed", "", inside("srv/renamed"), "F"},
		{"HERE/file web:/srv/keep", "", inside("srv/keep"), "F"},
		{"HERE/file web:/link/through", "", inside("srv/through"), "F"},
		{"HERE/file web:/link", "", inside("srv/file"), "F"},
		{"HERE/site web:/srv", "", inside("srv/site/css/x.css"), "X"},
		{"HERE/site web:/srv/www", "", inside("srv/www/css/x.css"), "X"},
		{"HERE/site/. web:/srv", "", inside("srv/css/x.css"), "X"},
		{"HERE/site web:/srv/keep", "is a file, and a directory cannot replace it", "", ""},
		{"HERE/file web:/none/", "there is no directory web:/none", "", ""},
		{"HERE/file web:/none/deep", "no such file or directory", "", ""},
		{"HERE/missing web:/srv", "no such file or directory", "", ""},
		{"HERE/file nobody:/srv", "there is no instance", "", ""},
	} {
		r := l.cis("", append([]string{"cp"}, strings.Fields(strings.ReplaceAll(tt.args, "HERE", dir))...)...)
		if tt.err == "" && (r.code != 0 || r.err != "") || tt.err != "" && (r.code != 1 || !strings.Contains(r.err, tt.err)) {
			t.Errorf("cp %s: %+v", tt.args, r)
		}
		if tt.path != "" {
			if got, err := os.ReadFile(tt.path); err != nil || string(got) != tt.text {
				t.Errorf("cp %s: %s is %q, %v", tt.args, tt.path, got, err)
			}
		}
	}
	archive := l.cis("", "cp", "web:/etc/app", "-")
	if archive.code != 0 || !strings.Contains(archive.out, "app/sub/b.conf") {
		t.Errorf("to a stream: %+v", archive)
	}
	l.want(l.cis(archive.out, "cp", "-", "web:/srv"), 0, "", "")
	if _, err := os.Stat(inside("srv/app/sub/b.conf")); err != nil {
		t.Error(err)
	}
	l.want(l.cis("", "cp", "a", "b"), 2, "", "cis: one side must be NAME:PATH")
	l.want(l.cis("", "cp", "web:/a", "job:/b"), 2, "", "cis: one side must be NAME:PATH")
}

func TestPortForward(t *testing.T) {
	l := webAndJob(t)
	p := l.start(nil, "port-forward", "web", "0:7")
	line := p.expect("web:7\n")
	address := strings.Fields(line)[1]
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "echo me")
	if got, err := bufio.NewReader(conn).ReadString('\n'); err != nil || got != "echo me\n" {
		t.Errorf("%q %v", got, err)
	}
	p.kill()
	l.want(l.cis("", "port-forward", "job", "7"), 1, "", "cis: job is not running: it is Failed\n")
	l.want(l.cis("", "port-forward", "web", "70000"), 2, "", `cis: "70000" is not [LOCAL:]REMOTE`)
}

func TestImages(t *testing.T) {
	l := newLab(t)
	digest := "sha256:" + strings.Repeat("0", 64)
	r := l.cis("", "image", "pull", "--registry-auth", "me:pw", "--pull-secret", "hub", "busybox:1")
	l.want(r, 0, digest+"\n", "Resolving\nabc: Downloading 2B\n")
	if p := l.engine.Pulls[0]; p.Auth.Password != "pw" || p.Secrets[0] != "hub" || p.Policy != api.PullAlways {
		t.Errorf("%+v", p)
	}
	l.want(l.cis("", "image", "pull", "-q", "busybox:1"), 0, digest+"\n", "")
	l.want(l.cis("", "image", "pull", "missing"), 1, "", "cis: the registry has no image missing\n")
	l.want(l.cis("", "image", "pull", "broken"), 1, "", "cis: the registry has no image broken\n")
	l.want(l.cis("tar", "image", "import", "-", "base:1"), 0, "sha256:"+strings.Repeat("1", 64)+"\n", "Flattening\n")
	l.want(l.cis("", "image", "import", t.TempDir(), "x"), 1, "", "is a directory without an OCI layout\n  → ")
	if r := l.cis("", "images"); !strings.Contains(r.out, "busybox:1   sha256:000000000000   1.00MiB   0") {
		t.Errorf("%+v", r)
	}
	l.want(l.cis("", "image", "rm", "busybox:1", "none"), 1, "busybox:1\n", "cis: there is no image none\n")
	l.want(l.cis("", "images", "-o", "name"), 0, "base:1\n", "")
}

func TestSecrets(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	key := filepath.Join(dir, "tls.key")
	if err := os.WriteFile(key, []byte("KEY"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(l.cis("", "secret", "create", "tls", "--from-file", key, "--from-literal", "a=b=c"), 0, "tls\n", "")
	l.want(l.cis("", "secret", "create", "hub", "--registry", "r.example.com", "--registry-auth", "me:pw"), 0, "hub\n", "")
	if r := l.cis("", "secret", "list"); !strings.Contains(r.out, "Opaque") || !strings.Contains(r.out, "a,tls.key") || !strings.Contains(r.out, ".dockerconfigjson") {
		t.Errorf("%+v", r)
	}
	l.want(l.cis("", "secret", "create", "x"), 2, "", "cis: there is no value")
	l.want(l.cis("", "secret", "create", "x", "--registry", "r"), 2, "", "cis: --registry and --registry-auth belong together")
	l.want(l.cis("", "secret", "create", "x", "--from-literal", "a"), 2, "", "is not KEY=VALUE")
	l.want(l.cis("", "secret", "rm", "tls"), 0, "tls\n", "")
	f := secretFlags{registry: "r.example.com", registryAuth: "me:p:w"}
	s, err := f.secret("hub")
	if err != nil || string(s.Data[dockerConfigKey]) != `{"auths":{"r.example.com":{"username":"me","password":"p:w","auth":"bWU6cDp3"}}}` {
		t.Errorf("%s %v", s.Data[dockerConfigKey], err)
	}
}

func TestSystem(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "version"), 0, "client  0.0.1\nserver  1.2.3\n", "")
	l.want(l.cis("", "version", "--client", "-o", "json"), 0, "{\n  \"client\": \"0.0.1\"\n}\n", "")
	if r := l.cis("", "info"); r.code != 0 || !strings.Contains(r.out, "Version:          1.2.3\n") {
		t.Errorf("%+v", r)
	}
	if r := l.cis("", "stats", "--no-stream"); r.code != 0 || !strings.Contains(r.out, "\nweb    0.00") || strings.Contains(r.out, "job") {
		t.Errorf("%+v", r)
	}
	if r := l.cis("", "stats", "--no-stream", "--containers"); r.code != 0 || !strings.HasSuffix(r.out, "\nweb    main        0.25   1.50s      2.00MiB   12.0KiB\n") {
		t.Errorf("%+v", r)
	}
	if r := l.cis("", "events", "web"); r.code != 0 || !strings.Contains(r.out, "Started   web") {
		t.Errorf("%+v", r)
	}
	l.want(l.cis("", "nonsense"), 2, "", "cis: unknown command \"nonsense\" for \"cis\"")
	if r := l.cis(""); r.code != 0 || !strings.Contains(r.out, "Run and stop:") {
		t.Errorf("%+v", r)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := l.cis("", "completion", shell); r.code != 0 || len(r.out) < 1000 {
			t.Errorf("%s: %d bytes, %s", shell, len(r.out), r.err)
		}
	}
	l.want(l.cis("", "completion", "tcsh"), 2, "", "cis: invalid argument \"tcsh\"")
}

func TestCompletion(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "image", "pull", "-q", "busybox:1"), 0, "sha256:"+strings.Repeat("0", 64)+"\n", "")
	for args, want := range map[string]string{
		"stop |":               "web\nRunning, job\nFailed (3)",
		"logs web |":           "",
		"run |":                "busybox:1",
		"run --restart |":      "no, on-failure, always",
		"exec |":               "web, job",
		"debug web --target |": "main",
		"debug --image |":      "busybox:1",
		"cp w|":                "web:",
		"image rm |":           "busybox:1",
		"ps -o |":              "wide, json, yaml, name",
		"completion |":         "bash, zsh, fish",
		"run --isolation |":    "auto, vm, gvisor",
		"stop web |":           "job",
	} {
		words := strings.Fields(strings.TrimSuffix(args, "|"))
		if strings.HasSuffix(args, " |") {
			words = append(words, "")
		}
		r := l.cis("", append([]string{"__complete"}, words...)...)
		for _, w := range strings.Split(want, ", ") {
			if !strings.Contains(r.out, strings.ReplaceAll(w, "\n", "\t")) {
				t.Errorf("%s offers %q, want %q", args, r.out, want)
			}
		}
		if strings.HasPrefix(want, "job") && strings.Contains(r.out, "web") {
			t.Errorf("%s offers what is there: %q", args, r.out)
		}
	}
}

// TestHelp: every command has words, two to four examples, and no surprise.
func TestHelp(t *testing.T) {
	commands := Root().Commands()
	for len(commands) > 0 {
		c := commands[0]
		commands = append(commands[1:], c.Commands()...)
		if c.Name() == "help" {
			continue
		}
		if n := len(strings.Split(c.Example, "\n")); c.Short == "" || c.Long == "" || n < 2 || n > 4 {
			t.Errorf("%s: short %q, %d examples", c.CommandPath(), c.Short, n)
		}
		for line := range strings.Lines(c.Long) {
			if len(line) > 100 {
				t.Errorf("%s: a line of %d characters", c.CommandPath(), len(line))
			}
		}
	}
}
