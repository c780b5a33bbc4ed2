package test

import (
	"strings"

	"cis/test/stage"
)

// terminal is a person at kubectl.
type terminal struct {
	c *cluster
	*stage.Terminal
}

func (c *cluster) terminal(args ...string) terminal {
	c.Helper()
	t, err := stage.OpenTerminal(c.command(append([]string{"kubectl"}, args...)...))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(t.Close)
	return terminal{c, t}
}

func (t terminal) sees(text string) {
	t.c.Helper()
	if err := t.Await(text); err != nil {
		t.c.Fatal(err)
	}
}

// asks types a command, and waits for its answer.
func (t terminal) asks(command, answer string) {
	t.c.Helper()
	if err := t.Type(command + "\n"); err != nil {
		t.c.Fatal(err)
	}
	t.sees(answer)
}

// measures asks for the size of the window until it is that: kubectl first tells another one, so that
// programs draw anew.
func (t terminal) measures(size string) {
	t.c.Helper()
	t.c.await("a window of "+size, func() bool { return t.Type("stty size\n") == nil && strings.Contains(t.Screen(), size) })
}

// leaves ends the shell.
func (t terminal) leaves() {
	t.c.Helper()
	if err := t.Type("exit\n"); err != nil {
		t.c.Fatal(err)
	}
	if code := t.Exit(); code != 0 {
		t.c.Errorf("kubectl ended with exit code %d:\n%q", code, t.Screen())
	}
}

// terminals: kubectl attach, exec and debug have one where they are asked for it.
func terminals(c *cluster, class string) {
	name := "terminal-" + class
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + class + `
  terminationGracePeriodSeconds: 1
  containers:
  - {name: a, image: IMAGE, command: [sh], stdin: true, tty: true}
`)
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")
	first := c.terminal("attach", "-it", name)
	first.measures("24 80")
	first.asks("X=kept; echo set-$((1+1))", "set-2")
	first.Close()
	second := c.terminal("attach", "-it", name)
	second.asks("echo $X-$((3+4))", "kept-7")

	executed := c.terminal("exec", "-it", name, "--", "sh")
	executed.asks("test -t 0 && test -t 1 && echo is-a-$((1+1))-terminal", "is-a-2-terminal")
	if err := executed.Resize(50, 132); err != nil {
		c.Fatal(err)
	}
	c.await("the new size", func() bool {
		return executed.Type("stty size\n") == nil && strings.Contains(executed.Screen(), "50 132")
	})
	executed.leaves()

	debugger := c.terminal("debug", "-it", name, "--image="+c.stage.Image, "--target=a", "-c", "debugger", "--", "sh")
	debugger.measures("24 80")
	debugger.asks("test -t 0 && echo is-a-$((1+1))-terminal; tr '\\0' . </proc/1/cmdline", "is-a-2-terminal\r\nsh.")
	debugger.leaves()
	c.await("the debugger's end", func() bool {
		return c.get("pod/"+name, ".status.ephemeralContainerStatuses[0].state.terminated.exitCode") == "0"
	})
	c.kubectl("delete", "pod", name)
}
