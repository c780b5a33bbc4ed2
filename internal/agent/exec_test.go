package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentclient"
	"cis/internal/agent/agentpb"
)

// sleeper is a rig with a container that runs.
func sleeper(t *testing.T) *rig {
	r := newRig(t)
	r.run(api.RestartNever, container("sleep"))
	r.until("running", running)
	return r
}

func command(args ...string) agentpb.ExecStart {
	return agentpb.ExecStart{Container: "main", Args: args}
}

// alone waits until only the container's own program runs.
func (r *rig) alone() {
	r.Helper()
	for range 6000 {
		if r.rt.Running() <= 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.Errorf("%d programs run", r.rt.Running())
}

func TestExec(t *testing.T) {
	r := sleeper(t)
	var out, errs bytes.Buffer
	started := 0
	code, err := r.client.Exec(t.Context(), command("fail", "42", "no", "way"), api.Streams{
		Stdout: &out, Stderr: &errs, Started: func() { started++ },
	})
	if code != 42 || err != nil || out.Len() != 0 || errs.String() != "no way\n" || started != 1 {
		t.Errorf("%d %v %q %q %d", code, err, &out, &errs, started)
	}
}

func TestExecStdin(t *testing.T) {
	r := sleeper(t)
	text := strings.Repeat("0123456789abcdef", 200_000)
	var out bytes.Buffer
	code, err := r.client.Exec(t.Context(), command("cat"), api.Streams{Stdin: strings.NewReader(text), Stdout: &out})
	if code != 0 || err != nil || out.String() != text {
		t.Errorf("%d %v: %d bytes of %d", code, err, out.Len(), len(text))
	}
	code, err = r.client.Exec(t.Context(), command("cat"), api.Streams{Stdout: &out}) // no stdin: empty
	if code != 0 || err != nil {
		t.Error(code, err)
	}
}

func TestExecOfManyAtOnce(t *testing.T) {
	r := sleeper(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			var out bytes.Buffer
			code, err := r.client.Exec(t.Context(), command("flood", "300000"), api.Streams{Stdout: &out})
			if code != 0 || err != nil || out.Len() != 300000 {
				t.Errorf("%d: %d %v, %d bytes", i, code, err, out.Len())
			}
		})
	}
	wg.Wait()
	r.alone()
}

// slowWriter stops for longer than ttrpc would bear.
type slowWriter struct {
	n    int
	once sync.Once
}

func (w *slowWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { time.Sleep(1500 * time.Millisecond) })
	w.n += len(b)
	return len(b), nil
}

func TestExecToASlowReader(t *testing.T) {
	r := sleeper(t)
	const size = 5 << 20
	w := &slowWriter{}
	code, err := r.client.Exec(t.Context(), command("flood", fmt.Sprint(size)), api.Streams{Stdout: w})
	if code != 0 || err != nil || w.n != size {
		t.Errorf("%d %v: %d bytes", code, err, w.n)
	}
}

func TestExecEndsWithItsCaller(t *testing.T) {
	r := sleeper(t)
	for _, program := range []string{"sleep", "stubborn"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := r.client.Exec(ctx, command(program), api.Streams{Started: func() {
			time.Sleep(20 * time.Millisecond)
			cancel()
		}})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		r.alone()
	}
	other := agentclient.New(r.dial())
	_, err := other.Exec(t.Context(), command("sleep"), api.Streams{Started: func() { other.Close() }})
	code(t, api.Unavailable, err)
	r.alone()
	full := errors.New("disk full")
	_, err = r.client.Exec(t.Context(), command("flood", "10000000"), api.Streams{Stdout: failing{full}})
	if err != full {
		t.Error(err)
	}
	r.alone()
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestExecTerminal(t *testing.T) {
	r := sleeper(t)
	start := command("winsize")
	start.TTY, start.Width, start.Height = true, 80, 24
	sizes := make(chan api.WindowSize, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	_, err := r.client.Exec(ctx, start, api.Streams{
		Resize: sizes,
		Stdout: writer(func(b []byte) {
			out.Write(b)
			switch {
			case strings.Contains(out.String(), "132x43"):
				cancel()
			case strings.Contains(out.String(), "80x24\r\n") && len(sizes) == 0:
				sizes <- api.WindowSize{Width: 132, Height: 43}
			}
		}),
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v: %q", err, &out)
	}
	r.alone()
	start = command("cat")
	start.TTY = true
	out.Reset()
	// A terminal echoes, and ^D at a line's beginning ends its input.
	code, err := r.client.Exec(t.Context(), start, api.Streams{Stdin: strings.NewReader("hi\n\x04"), Stdout: &out})
	if code != 0 || err != nil || out.String() != "hi\r\nhi\r\n" && !strings.Contains(out.String(), "hi\r\n") {
		t.Errorf("%d %v %q", code, err, &out)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestExecRefusals(t *testing.T) {
	r := newRig(t)
	try := func(want api.Code, start agentpb.ExecStart) {
		t.Helper()
		_, err := r.client.Exec(t.Context(), start, api.Streams{})
		code(t, want, err)
	}
	try(api.Conflict, command("echo"))
	r.run(api.RestartNever, container("sleep"))
	r.until("running", running)
	try(api.Invalid, command())
	try(api.NotFound, agentpb.ExecStart{Container: "other", Args: []string{"echo"}})
	r.client.Stop(t.Context(), 0, "")
	r.until("the end", finished)
	try(api.Conflict, command("echo"))
}

// As in a shell: 127 and the cause on standard error.
func TestExecOfWhatIsNotThere(t *testing.T) {
	r := sleeper(t)
	var out bytes.Buffer
	got, err := r.client.Exec(t.Context(), command("missing"), api.Streams{Stderr: &out})
	if got != 127 || err != nil || !strings.Contains(out.String(), "missing") {
		t.Errorf("%d %v %q", got, err, &out)
	}
}

func TestExecEndsWithItsContainer(t *testing.T) {
	r := sleeper(t)
	got, err := r.client.Exec(t.Context(), command("stubborn"), api.Streams{Started: func() {
		r.client.Stop(t.Context(), 0, "")
	}})
	if got != 137 || err != nil {
		t.Error(got, err)
	}
}

func TestStdinThatIsNotReadHoldsNothingUp(t *testing.T) {
	r := sleeper(t)
	pr, pw := io.Pipe()
	defer pw.Close()
	go func() {
		for {
			if _, err := pw.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}()
	defer pr.Close()
	code, err := r.client.Exec(t.Context(), command("sleep", "1300"), api.Streams{Stdin: pr})
	if code != 0 || err != nil {
		t.Error(code, err)
	}
}
