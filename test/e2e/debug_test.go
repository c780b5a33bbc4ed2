package e2e

import (
	"strings"
	"testing"

	"cis/api"
)

var debugTests = tests{
	"among the processes of a container": func(e *env) {
		name := e.start("--", "sh", "-c", "echo x >/here; exec sleep 1234")
		r := e.cis("debug", name, "--image", e.stage.Image, "--target", "main", "--", "sh", "-c",
			"cat /proc/1/root/here; tr '\\000' ' ' </proc/1/cmdline; hostname; cat /here; exit 4")
		e.equal("stdout", r.Stdout, "x\nsleep 1234 "+name+"\n")
		e.equal("exit code", r.Code, 4)
		if !strings.Contains(r.Stderr, "can't open '/here'") {
			e.Errorf("it has the container's files: %q", r.Stderr)
		}
		in := e.get(name)
		if s := in.Status.EphemeralContainerStatuses; in.Status.Phase != api.PhaseRunning || len(s) != 1 || s[0].State.Terminated.ExitCode != 4 || s[0].ImageID == "" {
			e.Errorf("%+v", in.Status)
		}
		e.equal("its output stays", strings.HasPrefix(e.ok("logs", "-c", in.Spec.EphemeralContainers[0].Name, name), "x\n"), true)
		// It ends with its target, and the instance by that one alone.
		last := strings.TrimSpace(e.ok("debug", "-d", name, "--target", "main", "--", "sleep", "4321"))
		e.until("it runs", func() bool { return e.get(name).Status.EphemeralContainerStatuses[1].State.Running != nil })
		e.equal("exec", e.ok("exec", "-c", last, name, "pidof", "sleep") != "", true)
		e.ok("kill", "-s", "KILL", name)
		e.equal("the end", e.ended(name).Status.EphemeralContainerStatuses[1].State.Terminated.ExitCode, 137)
	},
	"input, and a terminal": func(e *env) {
		name := e.start("--", "sleep", "1000")
		e.equal("input", e.input("hello\n", "debug", "-i", name, "--image", e.stage.Image, "--", "cat").Stdout, "hello\n")
		t := e.terminal("debug", "-it", name, "--image", e.stage.Image, "--", "sh")
		t.sees("# ")
		t.types("stty size; tty; exit 6\n")
		t.sees("24 80")
		e.equal("exit code", t.Exit(), 6)
		e.equal("the instance runs", e.ok("exec", name, "echo", "hi"), "hi\n")
	},
	"shared processes": func(e *env) {
		first, second := e.sh("sleep 1001 & echo x >/here; wait"), e.sh("sleep 1002 & wait")
		first.Name, second.Name = "first", "second"
		name := e.create(api.InstanceSpec{Containers: []api.Container{first, second}, ShareProcessNamespace: true})
		e.until("both run", func() bool {
			return e.cis("exec", name, "sh", "-c", "test $(pidof sleep | wc -w) = 2").Code == 0
		})
		if got := e.ok("exec", "-c", "second", name, "sh", "-c", "tr '\\000' ' ' </proc/1/cmdline; cat /proc/[0-9]*/root/here 2>/dev/null | sort -u"); !strings.Contains(got, "pause") || !strings.HasSuffix(got, "x\n") {
			e.Errorf("process 1 and the files of others are %q", got)
		}
		e.equal("debug", e.ok("debug", name, "--image", e.stage.Image, "--", "sh", "-c", "pidof sleep | wc -w"), "2\n")
		e.cis("exec", name, "sh", "-c", "kill $(pidof sleep)") // the instance's end may be this one's too
		e.ended(name)
	},
	"mistakes": func(e *env) {
		name := e.start("--", "sleep", "1000")
		e.fails(125, []string{`no container "nosuch"`}, "debug", name, "--target", "nosuch", "--", "sh")
		e.fails(125, []string{"did not run", api.ReasonErrImagePull}, "debug", name, "--image", e.stage.Image+"x", "--", "sh")
		e.fails(127, []string{"nosuch"}, "debug", name, "--", "nosuch")
		e.fails(125, []string{`"main" already`}, "debug", "-c", "main", name, "--", "sh")
		e.ok("stop", "-t", "0", name)
		e.fails(125, []string{"does not run"}, "debug", name, "--", "sh")
	},
}

// TestAddedContainersOutliveCisd ends cisd at once while one of them runs and another is
// about to.
func TestAddedContainersOutliveCisd(t *testing.T) {
	ownStage(t, func(e *env) {
		name := e.start("--", "sleep", "1000")
		running := func(n int) *api.StateRunning { return e.get(name).Status.EphemeralContainerStatuses[n].State.Running }
		add := func(container string) {
			e.ok("debug", "-d", "-c", container, name, "--", "sh", "-c", "echo once; exec sleep 1000")
		}
		add("first")
		e.until("the first one runs", func() bool { return running(0) != nil })
		since := running(0).StartedAt
		add("second")
		e.crash()
		e.until("the second one runs", func() bool { return running(1) != nil })
		e.equal("the first one runs as before", running(0).StartedAt.Equal(since), true)
		e.equal("another", e.ok("debug", name, "--", "echo", "third"), "third\n")
		for _, container := range []string{"first", "second"} {
			e.until("the output of "+container, func() bool { return e.ok("logs", "-c", container, name) == "once\n" })
		}
		e.ok("stop", "-t", "0", name)
	})
}
