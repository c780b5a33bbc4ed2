package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cis/api"
)

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name, args, stdin string
		code              int
		out, err          string
	}{
		{"streams stay apart and the code passes", "run both", "", 3, "out\n", "err\n"},
		{"arguments pass as they are", "run args a --rm $HOME", "", 0, "[\"a\" \"--rm\" \"$HOME\"]\n", ""},
		{"input ends with the pipe", "run -i cat", "hello\nworld", 0, "hello\nworld", ""},
		{"a pull is told of", "run slow", "", 0, "up\n", "cis: pulling image \"slow\"\ncis: image \"slow\" is here\n"},
		{"a failed pull ends it", "run --name x missing", "", 125, "", "cis: ErrImagePull: the registry has no such image\n  → check the name"},
		{"a pull that the server gave up", "run denied", "", 125, "", "cis: ErrImagePull: login needed\n"},
		{"a program that is not there", "run nosuch nosuch", "", 127, "", "cis: \"nosuch\" is not in the image's PATH\n"},
		{"out of memory", "run --memory 64Mi oom", "", 137, "", "cis: OOMKilled: the program used more than 64Mi of memory\n  → give it more with --memory\n"},
		{"out of time", "run --deadline 1 late", "", 143, "", "cis: DeadlineExceeded: it ran longer than 1s\n  → allow more with --deadline\n"},
		{"the sandbox is lost", "run --name x lost", "", 125, "", "cis: the sandbox is gone\n  → x may still run"},
		{"bad spec", "run --cpu 0.51 both", "", 125, "", "cis: cpu: "},
		{"several mistakes", "run --cpu 0.51 --memory 1Mi both", "", 125, "", "cis: memory: "},
		{"each mistake has its line", "run --cpu 0.51 --memory 1Mi both", "", 125, "", "\ncis: memory: "},
		{"no terminal", "run -it both", "", 125, "", "cis: standard input is not a terminal, as -t asks for\n  → leave out -t\n"},
		{"no image", "run", "", 2, "", "cis: requires at least 1 arg(s), only received 0\n  → see 'cis run --help'\n"},
		{"bad flag", "run --cpu lots both", "", 2, "", "cis: --cpu: \"lots\" is not an amount of cpu"},
		{"detached", "run -d --name web sleep", "", 0, "web\n", ""},
		{"detached, over at once", "run -d --name web both", "", 0, "web\n", ""},
		{"detached, cannot run", "run -d nosuch", "", 127, "", "cis: \"nosuch\" is not in the image's PATH\n"},
		{"detached, no image", "run -d missing", "", 125, "", "cis: ErrImagePull"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			l.want(l.cis(tt.stdin, strings.Fields(tt.args)...), tt.code, tt.out, tt.err)
		})
	}
}

func TestRunRequest(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "run", "--rm", "--name", "a", "--cpu", "0.25", "both", "x"), 3, "out\n", "err\n")
	req := l.engine.created[0]
	if !req.RemoveAfter || req.Name != "a" || req.CPU != 250 || req.Containers[0].Args[0] != "x" {
		t.Errorf("the request was %+v", req)
	}
}

// TestRunRemovesWhatNeverRan: a failed pull leaves the name free.
func TestRunRemovesWhatNeverRan(t *testing.T) {
	for _, image := range []string{"missing", "denied"} {
		l := newLab(t)
		for range 2 {
			if r := l.cis("", "run", "--name", "web", image); r.code != exitCis || !strings.Contains(r.err, "ErrImagePull") {
				t.Errorf("%s: %+v", image, r)
			}
		}
		if len(l.engine.removed) != 2 {
			t.Errorf("%s: removed %v", image, l.engine.removed)
		}
	}
}

func TestNoServer(t *testing.T) {
	l := newLab(t)
	l.host = "unix:///nowhere/cis.sock"
	for args, code := range map[string]int{"run x": exitCis, "ps": exitFailure, "exec a b": exitCis} {
		r := l.cis("", strings.Fields(args)...)
		if r.code != code || !strings.HasPrefix(r.err, "cis: nothing answers at /nowhere/cis.sock") || !strings.Contains(r.err, "\n  → start cisd with 'make up' or") {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

func TestExec(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "run", "-d", "--name", "web", "sleep"), 0, "web\n", "")
	for _, tt := range []struct {
		name  string
		args  []string
		stdin string
		code  int
		out   string
		err   string
	}{
		{"arguments are never joined", []string{"web", "--", "echo", "a b", "", "-c", "$x;y"}, "", 0, "a b\n\n-c\n$x;y\n", ""},
		{"without dashes", []string{"web", "echo", "-n"}, "", 0, "-n\n", ""},
		{"code", []string{"web", "exit", "42"}, "", 42, "", ""},
		{"both streams", []string{"web", "both"}, "", 0, "out\n", "err\n"},
		{"input", []string{"-i", "web", "cat"}, "in", 0, "in", ""},
		{"flags after the name", []string{"web", "-i", "--", "cat"}, "in", 0, "in", ""},
		{"unknown program", []string{"web", "nosuch"}, "", 127, "", ""},
		{"unknown instance", []string{"wob", "echo"}, "", 125, "", "cis: there is no instance \"wob\"\n  → "},
		{"no command", []string{"web", "--"}, "", 2, "", "cis: there is no command after --\n  → see 'cis exec --help'\n"},
		{"flags without dashes", []string{"web", "-i", "cat"}, "", 2, "", "cis: flags go before the name"},
		{"no terminal", []string{"-it", "web", "cat"}, "", 125, "", "cis: standard input is not a terminal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.want(l.cis(tt.stdin, append([]string{"exec"}, tt.args...)...), tt.code, tt.out, tt.err)
		})
	}
	r := l.cisEnv(map[string]string{"HERE": "yes"}, "", "exec", "-c", "main", "-u", "1:2", "-w", "/srv", "-e", "A=1", "-e", "HERE", "-e", "GONE", "web", "env")
	var req api.ExecRequest
	if err := json.Unmarshal([]byte(r.out), &req); err != nil {
		t.Fatal(err, r)
	}
	if req.Container != "main" || req.User != "1:2" || req.WorkingDir != "/srv" || len(req.Env) != 2 || req.Env[1] != (api.EnvVar{Name: "HERE", Value: "yes"}) {
		t.Errorf("the request was %+v", req)
	}
}

func TestAttach(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "run", "-d", "--name", "web", "other"), 0, "web\n", "")
	if err := l.engine.Print("web", 1, "before\n"); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(100 * time.Millisecond)
		_ = l.engine.Print("web", 2, "after\n")
		_ = l.engine.Finish("web", 9)
	}()
	l.want(l.cis("not sent", "attach", "--replay", "web"), 9, "before\n", "after\n")
	l.want(l.cis("", "attach", "nobody"), 125, "", "cis: there is no instance")
}

func TestLogs(t *testing.T) {
	l := newLab(t)
	l.want(l.cis("", "run", "-d", "--name", "web", "other"), 0, "web\n", "")
	for i, text := range []string{"one\n", "tw", "o\n"} {
		if err := l.engine.Print("web", 1, text); err != nil {
			t.Fatal(i, err)
		}
	}
	l.want(l.cis("", "logs", "web"), 0, "one\ntwo\n", "")
	l.want(l.cis("", "logs", "--tail", "1", "web"), 0, "o\n", "")
	l.want(l.cis("", "logs", "--since", "2h", "web"), 0, "one\ntwo\n", "")
	l.want(l.cis("", "logs", "--since", "yesterday", "web"), 2, "", "cis: --since: \"yesterday\" is neither")
	if r := l.cis("", "logs", "--timestamps", "web"); r.code != 0 || len(strings.Split(r.out, "Z one\n")) != 2 || strings.Count(r.out, "Z ") != 2 {
		t.Errorf("timestamps: %+v", r)
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		_ = l.engine.Print("web", 2, "late\n")
		_ = l.engine.Finish("web", 1)
	}()
	l.want(l.cis("", "logs", "-f", "web"), 0, "one\ntwo\n", "late\n")
	l.want(l.cis("", "logs", "nobody"), 1, "", "cis: there is no instance")
}

// TestLogsOfSeveral: lines say which container wrote them, and stay whole.
func TestLogsOfSeveral(t *testing.T) {
	l := newLab(t)
	manifest := "name: two\ncontainers:\n- {name: app, image: x}\n- {name: side, image: z}\n"
	l.want(l.cis(manifest, "create", "-f", "-"), 0, "two\n", "")
	_ = l.engine.Print("two", 1, "he")
	_ = l.engine.Print("two", 1, "llo\nend")
	l.want(l.cis("", "logs", "two"), 0, "[app] hello\n[app] end\n[side] hello\n[side] end\n", "")
	l.want(l.cis("", "logs", "-c", "side", "two"), 0, "hello\nend", "")
}
