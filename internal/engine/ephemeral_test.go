package engine

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"cis/api"
)

// debugger is a container to add.
func debugger(name string, args ...string) api.EphemeralContainer {
	c := api.EphemeralContainer{Container: api.Container{Name: name, Image: "programs", Args: args, ImagePullPolicy: api.PullIfNotPresent}}
	c.Default()
	return c
}

// added is the status of the n-th container that was added.
func added(in api.Instance, n int) api.ContainerState {
	return in.Status.EphemeralContainerStatuses[n].State
}

func TestAddContainer(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	if in, err := b.AddContainer(t.Context(), "a", debugger("d", "echo", "seen")); err != nil || len(in.Spec.EphemeralContainers) != 1 {
		t.Fatal(in, err)
	}
	var out bytes.Buffer
	if code, err := b.Attach(t.Context(), "a", "d", true, api.Streams{Stdout: &out}); err != nil || code != 0 || out.String() != "seen\n" {
		t.Errorf("attach: %d, %v, %q", code, err, out.String())
	}
	var stays = debugger("stays", "cat")
	stays.Stdin = true
	if _, err := b.AddContainer(t.Context(), "a", stays); err != nil {
		t.Fatal(err)
	}
	in := b.until("a", "joined by another", func(in api.Instance) bool { return added(in, 1).Running != nil })
	if !in.Status.Ready || in.Status.EphemeralContainerStatuses[1].ImageID == "" || added(in, 0).Terminated == nil {
		t.Errorf("%+v", in.Status)
	}
	b.refused(second(b.AddContainer(t.Context(), "a", debugger("main"))), api.Conflict, "name", `"main" already`)
	b.refused(second(b.AddContainer(t.Context(), "a", debugger("d"))), api.Conflict, "name", `"d" already`)
	b.reopen()
	in = b.untilRunning("a")
	if added(in, 1).Running == nil || added(in, 0).Terminated == nil {
		t.Errorf("after a restart: %+v", in.Status)
	}
	// A container that was added has no say in the end, and is gone in the next run.
	if end, err := b.Stop(t.Context(), "a", nil); err != nil || added(end, 1).Terminated == nil || end.Status.Reason != api.ReasonStopped {
		t.Errorf("%+v, %v", end.Status, err)
	}
	b.refused(second(b.AddContainer(t.Context(), "a", debugger("e"))), api.Conflict, "", "does not run")
	if _, err := b.Start(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if in := b.untilRunning("a"); len(in.Spec.EphemeralContainers)+len(in.Status.EphemeralContainerStatuses) != 0 {
		t.Errorf("%+v", in)
	}
	b.remove("a", true)
	b.untilClean()
}

func second(_ api.Instance, err error) error { return err }

func TestAddContainerThatCannotStart(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	absent := debugger("absent")
	absent.Image, absent.ImagePullPolicy = "nothing", api.PullNever
	for name, c := range map[string]api.EphemeralContainer{api.ReasonErrImageNeverPull: absent, api.ReasonCreateError: debugger("no-command")} {
		if _, err := b.AddContainer(t.Context(), "a", c); err != nil {
			t.Fatal(err)
		}
		_, err := b.Attach(t.Context(), "a", c.Name, true, api.Streams{Stdout: io.Discard})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if in := b.untilRunning("a"); !in.Status.Ready {
		t.Errorf("%+v", in.Status)
	}
	b.remove("a", true)
	b.untilClean()
}

// What was added before the instance ran starts with it, and ends with its programs.
func TestAddContainerEarly(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep", "300"))
	if _, err := b.AddContainer(t.Context(), "a", debugger("d", "sleep")); err != nil {
		t.Fatal(err)
	}
	end := b.untilFinished("a")
	if end.Status.Phase != api.PhaseSucceeded || added(end, 0).Terminated == nil {
		t.Errorf("%+v", end.Status)
	}
	b.untilClean()
}
