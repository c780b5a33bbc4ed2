package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"cis/api"
)

func TestRemoveAfterTheEnd(t *testing.T) {
	b := newBench(t)
	req := request("a", "echo", "x")
	req.RemoveAfter = true
	in := b.create(req)
	var out bytes.Buffer
	code, err := b.Attach(t.Context(), in.ID, "", true, api.Streams{Stdout: &out})
	if err != nil || code != 0 || out.String() != "x\n" {
		t.Errorf("attach: %d, %v, %q", code, err, out.String())
	}
	if _, err := b.Get(t.Context(), "a"); api.CodeOf(err) != api.NotFound {
		t.Errorf("the record is still there: %v", err)
	}
	b.untilClean()
	// Who comes late, as a client under load does, still gets it all.
	out.Reset()
	code, err = b.Attach(t.Context(), in.ID, "", true, api.Streams{Stdout: &out})
	if err != nil || code != 0 || out.String() != "x\n" {
		t.Errorf("late attach: %d, %v, %q", code, err, out.String())
	}
	if end, err := b.Wait(t.Context(), in.ID); err != nil || end.Status.Phase != api.PhaseSucceeded {
		t.Errorf("late wait: %+v, %v", end.Status, err)
	}
}

func TestAttachWithInput(t *testing.T) {
	b := newBench(t)
	req := request("a", "cat")
	req.Containers[0].Stdin, req.Containers[0].StdinOnce = true, true
	b.create(req)
	var out bytes.Buffer
	code, err := b.Attach(t.Context(), "a", "", true, api.Streams{Stdin: strings.NewReader("in and out"), Stdout: &out})
	if err != nil || code != 0 || out.String() != "in and out" {
		t.Errorf("%d, %v, %q", code, err, out.String())
	}
}

func TestAttachToWhatNeverRan(t *testing.T) {
	b := newBench(t)
	req := request("a", "x")
	req.Containers[0].Image, req.Containers[0].ImagePullPolicy = "nothing", api.PullNever
	b.create(req)
	_, err := b.Attach(t.Context(), "a", "", true, api.Streams{Stdout: io.Discard})
	if err == nil || !strings.Contains(err.Error(), api.ReasonErrImageNeverPull) {
		t.Errorf("got %v", err)
	}
}

func TestLogsFollowAndPrevious(t *testing.T) {
	b := newBench(t)
	req := request("a", "fail", "1", "once")
	req.RestartPolicy = api.RestartOnFailure
	b.create(req)
	ctx, cancel := context.WithCancel(t.Context())
	var got bytes.Buffer
	err := b.Logs(ctx, "a", api.LogOptions{Tail: -1, Follow: true}, func(e api.LogEntry) error {
		if got.Write(e.Data); strings.Count(got.String(), "once") == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || got.String() != "once\nonce\n" {
		t.Errorf("followed %q, %v", got.String(), err)
	}
	var previous bytes.Buffer
	err = b.Logs(t.Context(), "a", api.LogOptions{Tail: -1, Previous: true}, func(e api.LogEntry) error {
		previous.Write(e.Data)
		return nil
	})
	if err != nil || previous.String() != "once\n" {
		t.Errorf("previous %q, %v", previous.String(), err)
	}
	b.remove("a", true)
}

func TestWatch(t *testing.T) {
	b := newBench(t)
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	done := errors.New("done")
	var seen []string
	start := make(chan struct{}, 1)
	go func() {
		<-start
		b.create(request("b", "exit", "0"))
		b.untilFinished("b")
		b.untilLifeless("b")
		b.remove("b", false)
	}()
	err := b.Watch(t.Context(), api.ListOptions{}, 0, func(ev api.WatchEvent[api.Instance]) error {
		if ev.Object.Spec.Name == "a" {
			start <- struct{}{}
		}
		what := ev.Type + " " + ev.Object.Spec.Name + " " + string(ev.Object.Status.Phase)
		if len(seen) == 0 || seen[len(seen)-1] != what {
			seen = append(seen, what)
		}
		if ev.Type == api.WatchDeleted {
			return done
		}
		return nil
	})
	if err != done {
		t.Fatal(err)
	}
	want := "[ADDED a Running ADDED b Pending MODIFIED b Pending MODIFIED b Running MODIFIED b Succeeded DELETED b Succeeded]"
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("saw %s", got)
	}
}

func (b *bench) untilLifeless(ref string) {
	for b.life(mustID(b, ref)) != nil {
		time.Sleep(time.Millisecond)
	}
}

func mustID(b *bench, ref string) string {
	in, _ := b.Get(context.Background(), ref)
	return in.ID
}

// A follower comes to its end when the agent is killed, and the next attempt's
// output is kept apart from the lost one's.
func TestFollowersOfAKilledAgent(t *testing.T) {
	b := newBench(t)
	req := request("a", "sleep")
	b.create(req)
	b.untilRunning("a")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- b.Logs(ctx, "a", api.LogOptions{Tail: -1, Follow: true}, func(api.LogEntry) error { return nil })
	}()
	time.Sleep(50 * time.Millisecond)
	ids, _ := b.host.List(ctx)
	b.host.Destroy(ctx, ids[0])
	if err := <-ended; err != nil {
		t.Errorf("the follower ended with %v", err)
	}
	if end := b.untilFinished("a"); end.Status.Reason != api.ReasonSandboxLost {
		t.Errorf("%+v", end.Status)
	}
}
