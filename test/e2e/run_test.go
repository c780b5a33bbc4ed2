package e2e

import (
	"os"
	"strings"
	"syscall"
	"time"

	"cis/api"
)

var runTests = tests{
	"output and errors stay apart": func(e *env) {
		r := e.run("--", "sh", "-c", "echo out; echo err >&2")
		e.equal("stdout", r.Stdout, "out\n")
		if !strings.HasSuffix(r.Stderr, "err\n") || strings.Contains(r.Stderr, "out\n") {
			e.Errorf("stderr %q", r.Stderr)
		}
	},
	"exit codes pass through": func(e *env) {
		for _, code := range []string{"0", "1", "7", "255"} {
			e.equal("exit "+code, int(e.run("--", "sh", "-c", "exit "+code).Code)-atoi(code), 0)
		}
	},
	"a program's signal is its exit code": func(e *env) {
		// Process 1 of a PID namespace is safe from itself in Linux, and so in a VM.
		e.equal("killed by itself", e.run("--", "sh", "-c", "kill -9 $$").Code, map[string]int{"gvisor": 137, "vm": 0}[e.isolation])
		e.equal("killed by another", e.run("--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?").Code, 137)
	},
	"a missing program is 127, one that cannot run 126": func(e *env) {
		e.fails(127, []string{"nosuch"}, "run", "--rm", e.stage.Image, "nosuch")
		e.fails(126, []string{"/etc/passwd"}, "run", "--rm", e.stage.Image, "/etc/passwd")
	},
	"arguments are not joined": func(e *env) {
		e.equal("arguments", e.out("--", "sh", "-c", `for a; do echo "[$a]"; done`, "x", "a  b", "", "c'd\"$"), "[a  b]\n[]\n[c'd\"$]")
	},
	"rm removes the record": func(e *env) {
		name := e.name()
		e.ok("run", "--rm", "--name", name, e.stage.Image, "true")
		e.fails(1, []string{name}, "inspect", name)
	},
	"without rm the record stays": func(e *env) {
		name := e.name()
		e.equal("exit code", e.cis("run", "--name", name, e.stage.Image, "sh", "-c", "echo kept; exit 3").Code, 3)
		in := e.get(name)
		e.equal("phase", in.Status.Phase, api.PhaseFailed)
		e.equal("exit code on record", exitCode(in), 3)
		e.equal("logs", e.logs(name), "kept\n")
		for _, reason := range []string{"Created", "Started"} {
			if _, ok := e.events(name)[reason]; !ok {
				e.Errorf("no event %s in %v", reason, e.events(name))
			}
		}
	},
	"detached runs on": func(e *env) {
		name := e.start("--", "sh", "-c", "echo up; sleep 1000")
		e.saying(name, "up")
		if !strings.Contains(e.ok("ps", "-q", "--filter", "name="+name), e.get(name).ID) {
			e.Error("ps does not list it")
		}
	},
	"standard input reaches the program, and ends": func(e *env) {
		r := e.runInput(strings.Repeat("line\n", 20000), "-i", "--", "wc", "-l")
		e.equal("lines", strings.TrimSpace(r.Stdout), "20000")
	},
	"without -i there is no input": func(e *env) {
		e.equal("output", e.runInput("data", "--", "cat").Stdout, "")
	},
	"a lot of output arrives whole": func(e *env) {
		e.equal("bytes", len(e.run("--", "sh", "-c", "yes 0123456789abcde | head -n 200000").Stdout), 200000*16)
	},
	"Ctrl-C stops the program": func(e *env) {
		e.equal("exit code", e.interrupted("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done"), 5)
	},
	"a program that is stopped by the signal": func(e *env) {
		e.equal("exit code", e.interrupted("echo up; exec sleep 1000"), 143)
	},
	"environment, directory, user, host name": func(e *env) {
		e.equal("env", e.out("-e", "A=1 2", "-e", "B=", "--", "sh", "-c", `echo "$A|${B-unset}|$PATH"`),
			"1 2||/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
		e.equal("directory", e.out("-w", "/var/tmp", "--", "pwd"), "/var/tmp")
		e.equal("user by name", e.out("-u", "user", "--", "sh", "-c", "id -u; id -g; echo $HOME"), "1000\n1000\n/home/user")
		e.equal("user by number", e.out("-u", "12:34", "--", "sh", "-c", "id -u; id -g"), "12\n34")
		e.equal("host name", e.out("--hostname", "there", "--", "sh", "-c", "hostname; cat /etc/hostname; grep -c there /etc/hosts"), "there\nthere\n1")
		e.equal("empty entry point", e.out("--entrypoint", "", "--", "echo", "x"), "x")
		e.equal("entry point", e.out("--entrypoint", "echo", "--", "sh"), "sh")
	},
	"names are unique, and free again after rm": func(e *env) {
		name := e.start("--", "sleep", "1000")
		e.fails(125, []string{name}, "run", "--name", name, e.stage.Image, "true")
		e.ok("rm", "-f", name)
		e.equal("run again", e.cis("run", "--rm", "--name", name, e.stage.Image, "true").Code, 0)
	},
	"timings add up": func(e *env) {
		name := e.name()
		e.ok("run", "--name", name, e.stage.Image, "echo", "x")
		tm := e.get(name).Status.Timings
		if tm.Total <= 0 || tm.Container <= 0 || tm.Admission <= 0 || tm.FirstOutput <= 0 || tm.Total > 60000 {
			e.Errorf("timings %+v", tm)
		}
	},
	"files that programs expect": func(e *env) {
		script := `set -e; test -c /dev/null; test -d /dev/shm; test -e /proc/self/status; test -d /sys/kernel || test -d /sys/devices
echo x >/dev/shm/x; grep -q nameserver /etc/resolv.conf; grep -q localhost /etc/hosts; test "$(cat /etc/hostname)" = "$(hostname)"; echo fine`
		e.equal("result", e.out("--", "sh", "-c", script), "fine")
	},
}

// interrupted sends Ctrl-C to a run of a script that says "up", and returns the
// exit code.
func (e *env) interrupted(script string) int {
	e.Helper()
	cmd := e.stage.Command(e.Context(), append([]string{"run", "--rm", "--name", e.name()}, e.program([]string{"--", "sh", "-c", script})...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		e.Fatal(err)
	}
	up := make([]byte, 3)
	if _, err := out.Read(up); err != nil {
		e.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		e.Fatal(err)
	}
	_ = cmd.Wait() // the exit code is what counts
	if took := time.Since(began); took > 9*time.Second {
		e.Errorf("it took %v to stop, as if the signal did nothing", took)
	}
	return cmd.ProcessState.ExitCode()
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}
