package e2e

import (
	"strings"
	"time"

	"cis/test/stage"
)

// terminal is a person at a command.
type terminal struct {
	e *env
	*stage.Terminal
}

func (e *env) terminal(args ...string) terminal {
	e.Helper()
	t, err := stage.OpenTerminal(e.stage.Command(e.Context(), args...))
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(t.Close)
	return terminal{e, t}
}

// types sends keys.
func (t terminal) types(keys string) {
	t.e.Helper()
	if err := t.Type(keys); err != nil {
		t.e.Fatal(err)
	}
}

// sees waits for a text on the screen.
func (t terminal) sees(text string) {
	t.e.Helper()
	if err := t.Await(text); err != nil {
		t.e.Fatal(err)
	}
}

var terminalTests = tests{
	"a shell": func(e *env) {
		t := e.terminal("run", "--rm", "-it", "--isolation", e.isolation, e.stage.Image, "sh")
		t.sees("#")
		t.types("test -t 0 && test -t 1 && echo is-a-$((1+1))-terminal\n")
		t.sees("is-a-2-terminal")
		t.types("exit 9\n")
		e.equal("exit code", t.Exit(), 9)
	},
	"the window size follows": func(e *env) {
		t := e.terminal("run", "--rm", "-it", "--isolation", e.isolation, e.stage.Image, "sh")
		t.sees("#")
		t.types("stty size\n")
		t.sees("24 80")
		if err := t.Resize(50, 132); err != nil {
			e.Fatal(err)
		}
		e.until("the size is the new one", func() bool {
			t.types("stty size\n")
			time.Sleep(100 * time.Millisecond)
			return strings.Contains(t.Screen(), "50 132")
		})
		t.types("exit\n")
		e.equal("exit code", t.Exit(), 0)
	},
	"Ctrl-C is a key for the program": func(e *env) {
		t := e.terminal("run", "--rm", "-it", "--isolation", e.isolation, e.stage.Image, "sh")
		t.sees("#")
		t.types("sleep 1000\n")
		time.Sleep(300 * time.Millisecond)
		t.types("\x03")
		t.types("echo still-$((2*21))\n")
		t.sees("still-42")
		t.types("exit 3\n")
		e.equal("exit code", t.Exit(), 3)
	},
	"detach and attach again": func(e *env) {
		name := e.name()
		t := e.terminal("run", "-it", "--name", name, "--isolation", e.isolation, e.stage.Image, "sh")
		t.sees("#")
		t.types("X=kept\n")
		t.types("\x10\x11")
		e.equal("exit code of a detached run", t.Exit(), 0)
		e.equal("phase", string(e.get(name).Status.Phase), "Running")
		t = e.terminal("attach", name)
		t.types("echo $X-$((3+4))\n")
		t.sees("kept-7")
		t.types("exit 4\n")
		e.equal("exit code", t.Exit(), 4)
	},
	"exec with a terminal": func(e *env) {
		name := e.start("--", "sleep", "1000")
		t := e.terminal("exec", "-it", name, "sh")
		t.sees("#")
		t.types("stty size; tty\n")
		t.sees("24 80")
		t.types("exit 6\n")
		e.equal("exit code", t.Exit(), 6)
	},
	"-t without a terminal is refused": func(e *env) {
		r := e.cis("run", "--rm", "-it", e.stage.Image, "sh")
		if r.Code == 0 || !strings.Contains(r.Stderr, "terminal") {
			e.Errorf("exit code %d, %q", r.Code, r.Stderr)
		}
	},
}
