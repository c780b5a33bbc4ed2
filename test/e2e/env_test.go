package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cis/api"
	"cis/test/stage"
)

// env is one test on a stage.
type env struct {
	*testing.T
	stage     *stage.Stage
	isolation string
	// outside is beyond the host, where the test has one.
	outside outside
	// shop is a VPC that tests share, where they do.
	shop shop
}

// patience bounds what a test waits for; it is never what is measured.
const patience = 3 * time.Minute

var names atomic.Int64

// name makes a name for an instance, and has the instance removed after the test.
func (e *env) name() string {
	name := fmt.Sprintf("t%d", names.Add(1))
	e.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if e.Failed() {
			if r, err := e.stage.Cis(ctx, "", "inspect", name); err == nil && r.Code == 0 {
				e.Logf("cis inspect:\n%s", r.Stdout)
			}
		}
		// A test may have removed it, or not have come to make it.
		_, _ = e.stage.Cis(ctx, "", "rm", "-f", name)
	})
	return name
}

// cis runs the command line; only that it ran and ended in time is checked.
func (e *env) cis(args ...string) stage.Result { e.Helper(); return e.input("", args...) }

// input is cis with standard input.
func (e *env) input(stdin string, args ...string) stage.Result {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	defer cancel()
	r, err := e.stage.Cis(ctx, stdin, args...)
	if err != nil {
		e.Logf("what there is:\n%s", e.instances())
		e.Fatalf("cis %q: %v\nstdout: %s\nstderr: %s", args, err, r.Stdout, r.Stderr)
	}
	return r
}

// instances are all instances as a person is shown them.
func (e *env) instances() string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := e.stage.Cis(ctx, "", "list", "-a")
	if err != nil {
		return err.Error()
	}
	return r.Stdout + r.Stderr
}

// ok runs the command line, which must succeed, and returns what it wrote.
func (e *env) ok(args ...string) string {
	e.Helper()
	r := e.cis(args...)
	if r.Code != 0 {
		e.Fatalf("cis %q: exit code %d\nstdout: %s\nstderr: %s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// fails runs the command line, which must exit with the code and say all of these.
func (e *env) fails(code int, says []string, args ...string) {
	e.Helper()
	r := e.cis(args...)
	if r.Code != code {
		e.Errorf("cis %q: exit code %d, want %d\nstderr: %s", args, r.Code, code, r.Stderr)
	}
	for _, text := range says {
		if !strings.Contains(r.Stderr, text) {
			e.Errorf("cis %q does not say %q but:\n%s", args, text, r.Stderr)
		}
	}
}

// run is `cis run` of busybox on this isolation: flags, then "--", then the
// program. It is removed after its end.
func (e *env) run(args ...string) stage.Result { e.Helper(); return e.runInput("", args...) }

func (e *env) runInput(stdin string, args ...string) stage.Result {
	e.Helper()
	return e.input(stdin, append([]string{"run", "--rm"}, e.program(args)...)...)
}

// out is what a run that must succeed writes, without the white space around it.
func (e *env) out(args ...string) string {
	e.Helper()
	r := e.run(args...)
	if r.Code != 0 {
		e.Fatalf("run %q: exit code %d\nstdout: %s\nstderr: %s", args, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// start is `cis run -d`; it returns the name.
func (e *env) start(args ...string) string {
	e.Helper()
	name := e.name()
	e.ok(append([]string{"run", "-d", "--name", name}, e.program(args)...)...)
	return name
}

// program puts isolation and image in the place of "--".
func (e *env) program(args []string) []string {
	at := slices.Index(args, "--")
	if at < 0 {
		return slices.Concat([]string{"--isolation", e.isolation}, args)
	}
	return slices.Concat([]string{"--isolation", e.isolation}, args[:at], []string{e.stage.Image}, args[at+1:])
}

// sh is a container that runs a script.
func (e *env) sh(script string) api.Container {
	return api.Container{Image: e.stage.Image, Command: []string{"sh", "-c", script}}
}

// create makes an instance of a spec, by `cis create -f -`; it returns the name.
func (e *env) create(spec api.InstanceSpec) string {
	e.Helper()
	spec.Isolation = api.Isolation(e.isolation)
	if spec.Name == "" {
		spec.Name = e.name()
	}
	data, err := json.Marshal(spec)
	if err != nil {
		e.Fatal(err)
	}
	if r := e.input(string(data), "create", "-f", "-"); r.Code != 0 {
		e.Fatalf("cis create: exit code %d: %s", r.Code, r.Stderr)
	}
	return spec.Name
}

// get reads an instance's record.
func (e *env) get(name string) api.Instance {
	e.Helper()
	in, err := e.stage.Client.Get(e.Context(), name)
	if err != nil {
		e.Fatal(err)
	}
	return in
}

// ended waits for the end of an instance and returns its record.
func (e *env) ended(name string) api.Instance {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	defer cancel()
	in, err := e.stage.Client.Wait(ctx, name)
	if err != nil {
		e.Fatalf("wait for the end of %s: %v", name, err)
	}
	return in
}

// when waits until the record of an instance is as wanted, told by the server.
func (e *env) when(name, what string, wanted func(api.Instance) bool) api.Instance {
	e.Helper()
	var last api.Instance
	e.until(name+" is "+what, func() bool {
		last = e.get(name)
		return wanted(last)
	})
	return last
}

// running tells whether the first program runs: an instance is Running while its program waits for a restart, too.
func running(in api.Instance) bool {
	return in.Status.Phase == api.PhaseRunning && in.Status.ContainerStatuses[0].State.Running != nil
}

// until tries again until true.
func (e *env) until(what string, true func() bool) {
	e.Helper()
	deadline := time.Now().Add(patience)
	for !true() {
		if time.Now().After(deadline) {
			e.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// events of an instance, by reason.
func (e *env) events(name string) map[string]api.Event {
	e.Helper()
	var list []api.Event
	if err := json.Unmarshal([]byte(e.ok("events", name, "-o", "json")), &list); err != nil {
		e.Fatal(err)
	}
	all := map[string]api.Event{}
	for _, ev := range list {
		all[ev.Reason] = ev
	}
	return all
}

// logs of an instance so far.
func (e *env) logs(name string) string { e.Helper(); return e.ok("logs", name) }

// saying waits until an instance has written a text.
func (e *env) saying(name, text string) {
	e.Helper()
	e.until(fmt.Sprintf("%s writes %q", name, text), func() bool { return strings.Contains(e.logs(name), text) })
}

func (e *env) equal(what string, got, want any) {
	e.Helper()
	if got != want {
		e.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

// exitCode of an instance that has ended.
func exitCode(in api.Instance) int {
	if in.Status.ExitCode == nil {
		return -1
	}
	return *in.Status.ExitCode
}

// ctx is for what has to happen after a test's own context is over.
func ctx() context.Context { return context.Background() }
