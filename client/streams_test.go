package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/client"
)

func TestLogs(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.create(t, "a")
	started := time.Now()
	pieces := []string{"1one\n", "2err", "1two", "1 more\nthree\n", "2or\n", "1end"}
	for _, p := range pieces {
		if err := w.engine.Print("a", int(p[0]-'0'), p[1:]); err != nil {
			t.Fatal(err)
		}
	}
	read := func(opts api.LogOptions) (out [3]string, times []time.Time, err error) {
		err = w.Logs(ctx, "a", opts, func(e client.LogEntry) error {
			out[e.Stream] += string(e.Data)
			times = append(times, e.Time)
			return nil
		})
		return out, times, err
	}
	want := [3]string{"", "one\ntwo more\nthree\nend", "error\n"}
	for _, stamps := range []bool{false, true} {
		out, times, err := read(api.LogOptions{Tail: -1, Timestamps: stamps})
		if err != nil || out != want {
			t.Errorf("got %q, %v", out, err)
		}
		for _, at := range times {
			if stamps && (at.Before(started) || at.After(time.Now())) || !stamps && !at.IsZero() {
				t.Errorf("timestamps %v: the time is %v", stamps, at)
			}
		}
	}
	if out, _, err := read(api.LogOptions{Tail: 1}); err != nil || out[1] != "end" {
		t.Errorf("tail: %q, %v", out, err)
	}
	if out, _, err := read(api.LogOptions{Tail: 0}); err != nil || out != [3]string{} {
		t.Errorf("no tail: %q, %v", out, err)
	}
	if out, _, err := read(api.LogOptions{Tail: -1, Since: time.Now()}); err != nil || out != [3]string{} {
		t.Errorf("since: %q, %v", out, err)
	}
	out, _, err := read(api.LogOptions{Tail: -1, Previous: true})
	wantCode(t, err, api.Internal)
	if out[1] != "one\n" || strings.Contains(err.Error(), "read error") {
		t.Errorf("broken logs give %q, %v", out, err)
	}
	wantCode(t, w.Logs(ctx, "none", api.LogOptions{Tail: -1}, nil), api.NotFound)
}

func TestLogsFollow(t *testing.T) {
	w := newWorld(t)
	w.create(t, "a")
	lines := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- w.Logs(t.Context(), "a", api.LogOptions{Tail: -1, Follow: true}, func(e client.LogEntry) error {
			lines <- string(e.Data)
			return nil
		})
	}()
	for i := range 3 {
		text := fmt.Sprintf("line %d\n", i)
		_ = w.engine.Print("a", 1, text)
		if got := <-lines; got != text { // each arrives before the next is there
			t.Errorf("got %q, want %q", got, text)
		}
	}
	_ = w.engine.Finish("a", 0)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestExec(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.create(t, "a")
	tests := []struct {
		command  []string
		code     int
		out, err string
	}{
		{[]string{"echo", "two words", "", `q"u'o`, "ä\n", "-x=$HOME&;"}, 0, "two words\n\nq\"u'o\nä\n\n-x=$HOME&;\n", ""},
		{[]string{"both"}, 0, "out\n", "err\n"},
		{[]string{"exit", "42"}, 42, "", ""},
		{[]string{"exit", "255"}, 255, "", ""},
		{[]string{"nothing"}, 127, "", ""},
	}
	for _, tt := range tests {
		var out, errOut bytes.Buffer
		started := 0
		code, err := w.Exec(ctx, "a", api.ExecRequest{Command: tt.command}, client.Streams{Stdout: &out, Stderr: &errOut, Started: func() { started++ }})
		if err != nil || code != tt.code || out.String() != tt.out || errOut.String() != tt.err || started != 1 {
			t.Errorf("%q gives %d, %v, %q, %q, started %d times", tt.command, code, err, out.String(), errOut.String(), started)
		}
	}
}

func TestExecRequestArrivesWhole(t *testing.T) {
	w := newWorld(t)
	w.create(t, "a")
	req := api.ExecRequest{Container: "main", Command: []string{"env", "a b"}, Env: []api.EnvVar{{Name: "A", Value: "b=c d"}, {Name: "E"}},
		WorkingDir: "/tmp", User: "1000:1000", TTY: true}
	var out bytes.Buffer
	if code, err := w.Exec(t.Context(), "a", req, client.Streams{Stdout: &out}); err != nil || code != 0 {
		t.Fatal(code, err)
	}
	var got api.ExecRequest
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || !reflect.DeepEqual(got, req) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, req)
	}
}

func TestExecStdin(t *testing.T) {
	w := newWorld(t)
	w.create(t, "a")
	input := bytes.Repeat([]byte("0123456789abcde\n"), 1<<17) // 2 MiB
	var out bytes.Buffer
	// cat ends only when it sees the end of its input.
	code, err := w.Exec(t.Context(), "a", api.ExecRequest{Command: []string{"cat"}}, client.Streams{Stdin: bytes.NewReader(input), Stdout: &out})
	if err != nil || code != 0 || !bytes.Equal(out.Bytes(), input) {
		t.Errorf("got %d, %v, %d bytes", code, err, out.Len())
	}
	// A program that does not read its input ends all the same.
	code, err = w.Exec(t.Context(), "a", api.ExecRequest{Command: []string{"exit", "3"}}, client.Streams{Stdin: bytes.NewReader(input)})
	if err != nil || code != 3 {
		t.Errorf("got %d, %v", code, err)
	}
	failing := errors.New("unreadable")
	if _, err := w.Exec(t.Context(), "a", api.ExecRequest{Command: []string{"cat"}}, client.Streams{Stdin: failingReader{failing}}); err != failing {
		t.Errorf("got %v", err)
	}
}

func TestExecResize(t *testing.T) {
	w := newWorld(t)
	w.create(t, "a")
	sizes := make(chan client.WindowSize, 1)
	sizes <- client.WindowSize{Width: 120, Height: 40}
	var out bytes.Buffer
	_, err := w.Exec(t.Context(), "a", api.ExecRequest{Command: []string{"size"}, TTY: true}, client.Streams{Stdout: &out, Resize: sizes})
	if err != nil || out.String() != "120x40" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestExecErrors(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.create(t, "a")
	_, err := w.Exec(ctx, "none", api.ExecRequest{Command: []string{"echo"}}, client.Streams{})
	wantCode(t, err, api.NotFound)
	_, err = w.Exec(ctx, "a", api.ExecRequest{}, client.Streams{}) // refused before the upgrade
	wantCode(t, err, api.Invalid)
	if e, _ := errors.AsType[*api.Error](err); e == nil || e.Field != "command" {
		t.Errorf("got %+v", e)
	}
	_, err = w.Exec(ctx, "a", api.ExecRequest{Command: []string{"panic"}}, client.Streams{})
	wantCode(t, err, api.Unavailable)
	_ = w.engine.Finish("a", 0)
	_, err = w.Exec(ctx, "a", api.ExecRequest{Command: []string{"echo"}}, client.Streams{})
	wantCode(t, err, api.Conflict)
}

func TestExecEndsWhenTheClientGoes(t *testing.T) {
	for _, input := range []io.Reader{nil, endless{}} { // endless input fills every buffer on the way
		w := newWorld(t)
		w.create(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.Exec(ctx, "a", api.ExecRequest{Command: []string{"hang"}}, client.Streams{Stdin: input,
			Started: func() { time.AfterFunc(50*time.Millisecond, cancel) }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if input == nil {
			eventually(t, "the program was told", func() bool { _, ok := w.engine.File("/hung"); return ok })
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestAttach(t *testing.T) {
	w := newWorld(t)
	w.create(t, "a")
	_ = w.engine.Print("a", 1, "before\n")
	var out bytes.Buffer
	input, feed := io.Pipe()
	code := make(chan int, 1)
	go func() {
		n, err := w.Attach(t.Context(), "a", "", true, client.Streams{Stdin: input, Stdout: &out})
		if err != nil {
			t.Error(err)
		}
		code <- n
	}()
	fmt.Fprint(feed, "hello")
	feed.Close()
	var all string
	eventually(t, "the input was heard", func() bool {
		all = ""
		_ = w.Logs(t.Context(), "a", api.LogOptions{Tail: -1}, func(e client.LogEntry) error { all += string(e.Data); return nil })
		return strings.Contains(all, "HELLO")
	})
	_ = w.engine.Finish("a", 5)
	if got := <-code; got != 5 || out.String() != "before\nHELLO" {
		t.Errorf("got %d, %q", got, out.String())
	}
}

func TestPortForward(t *testing.T) {
	w := newWorld(t)
	w.create(t, "a")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	// dial gives the local end of a forward to a port, and how the forward ends.
	dial := func(port uint16) (*net.TCPConn, chan error) {
		done := make(chan error, 1)
		go func() {
			conn, err := listener.Accept()
			if err == nil {
				defer conn.Close()
				err = w.PortForward(t.Context(), "a", port, conn)
			}
			done <- err
		}()
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn.(*net.TCPConn), done
	}

	conn, done := dial(7)
	data := bytes.Repeat([]byte("ping"), 1<<18)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = conn.Write(data); _ = conn.CloseWrite() })
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	wg.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}

	// The port closes its half first, and hears us still.
	conn, done = dial(80)
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	fmt.Fprint(conn, "late")
	_ = conn.CloseWrite()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, _ := w.engine.File("/heard"); got != "late" {
		t.Errorf("the port heard %q", got)
	}

	_, done = dial(1)
	wantCode(t, <-done, api.Unavailable)
}
