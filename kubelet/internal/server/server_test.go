package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"

	"cis/api"
)

// onePod is a node with the pod p.
type onePod struct{ in api.Instance }

var thePod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u"},
	Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}}}}

func (o onePod) Find(namespace, name string) (*corev1.Pod, api.Instance, error) {
	if namespace != "n" || name != "p" {
		return nil, api.Instance{}, errors.New("pod does not exist")
	}
	return thePod, o.in, nil
}
func (o onePod) Pods() []*corev1.Pod                       { return []*corev1.Pod{thePod} }
func (o onePod) Instance(*corev1.Pod) (api.Instance, bool) { return o.in, true }

// programs that echo what they are given.
type programs struct {
	asked  chan api.LogOptions
	host   api.HostUsage
	broken error // of Info
}

func (p programs) Logs(_ context.Context, ref string, o api.LogOptions, fn func(api.LogEntry) error) error {
	p.asked <- o
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, e := range []api.LogEntry{{Time: at, Stream: 1, Data: []byte("one\n")}, {Time: at, Stream: 2, Data: []byte("t")}, {Time: at, Stream: 2, Data: []byte("wo\n")}} {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (p programs) Exec(_ context.Context, _ string, req api.ExecRequest, s api.Streams) (int, error) {
	switch req.Command[0] {
	case "exit":
		fmt.Fprint(s.Stderr, "bad")
		return 7, nil
	case "size":
		size := <-s.Resize
		fmt.Fprintf(s.Stdout, "%dx%d", size.Width, size.Height)
		return 0, nil
	}
	data, err := io.ReadAll(s.Stdin)
	fmt.Fprintf(s.Stdout, "%s in %s", data, req.Container)
	return 0, err
}

func (p programs) Attach(_ context.Context, _, container string, _ bool, s api.Streams) (int, error) {
	fmt.Fprint(s.Stdout, "attached")
	return 0, nil
}

func (p programs) PortForward(_ context.Context, _ string, port uint16, conn io.ReadWriter) error {
	data, err := io.ReadAll(conn)
	fmt.Fprintf(conn, "%d got %s", port, data)
	return err
}

func (p programs) Stats(context.Context, string) (api.Stats, error) {
	return api.Stats{CPUSeconds: 2, CPU: 0.5, Memory: 64 * api.MiB, Pids: 3, Time: time.Unix(1, 0), Containers: []api.ContainerStats{
		{Name: "a", CPUSeconds: 1.25, CPU: 0.25, Memory: 16 * api.MiB, MemoryUsage: 20 * api.MiB, Disk: 1 * api.MiB, StartedAt: time.UnixMilli(500)},
		{Name: "side", CPUSeconds: 0.5, CPU: 0.125, Memory: 8 * api.MiB, MemoryUsage: 8 * api.MiB, MemoryRSS: 4 * api.MiB, Disk: 2 * api.MiB, StartedAt: time.UnixMilli(2750)},
	}}, nil
}

func (p programs) Info(context.Context) (api.Info, error) {
	return api.Info{HostUsage: p.host}, p.broken
}

type anyone struct{}

func (anyone) Allow(*http.Request, string) (int, error) { return 200, nil }

func serve(t *testing.T) (*httptest.Server, programs) {
	p := programs{asked: make(chan api.LogOptions, 10)}
	return serveWith(t, p), p
}

func serveWith(t *testing.T, p programs) *httptest.Server {
	s := &Server{Pods: onePod{api.Instance{ID: "i-1", Status: api.InstanceStatus{Phase: api.PhaseRunning}}}, Cis: p, Node: "n1", Auth: anyone{}, Log: slog.New(slog.DiscardHandler)}
	web := httptest.NewTLSServer(s.Handler())
	t.Cleanup(web.Close)
	return web
}

func get(t *testing.T, web *httptest.Server, path string) (int, string) {
	t.Helper()
	resp, err := web.Client().Get(web.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

func TestLogs(t *testing.T) {
	web, p := serve(t)
	for query, want := range map[string]string{
		"":                 "one\ntwo\n",
		"?limitBytes=5":    "one\nt",
		"?stream=Stderr":   "two\n",
		"?timestamps=true": "2030-01-02T03:04:05.000000006Z one\n2030-01-02T03:04:05.000000006Z two\n",
		"?follow=true&previous=true&tailLines=3&sinceSeconds=5": "one\ntwo\n",
	} {
		if code, got := get(t, web, "/containerLogs/n/p/a"+query); code != 200 || got != want {
			t.Errorf("%s: %d %q", query, code, got)
		}
		o := <-p.asked
		if strings.Contains(query, "follow") && (!o.Follow || !o.Previous || o.Tail != 3 || time.Since(o.Since) > time.Minute) {
			t.Errorf("%s was asked as %+v", query, o)
		}
	}
	for path, want := range map[string]int{"/n/q/a": 404, "/n/p/b": 404, "/n/p/a?tailLines=-1": 400, "/n/p/a?sinceTime=x": 400, "/n/p/a?follow=maybe": 400, "/n/p/a?stream=x": 400} {
		if code, text := get(t, web, "/containerLogs"+path); code != want {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}

// command streams as the API server does.
func command(t *testing.T, web *httptest.Server, path string, o remotecommand.StreamOptions) error {
	t.Helper()
	u, _ := url.Parse(web.URL + path)
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, "POST", u)
	if err != nil {
		t.Fatal(err)
	}
	return executor.StreamWithContext(t.Context(), o)
}

// oneSize is a terminal that does not change.
type oneSize struct{ told bool }

func (o *oneSize) Next() *remotecommand.TerminalSize {
	if o.told {
		return nil
	}
	o.told = true
	return &remotecommand.TerminalSize{Width: 80, Height: 25}
}

func TestExec(t *testing.T) {
	web, _ := serve(t)
	var out, errOut bytes.Buffer
	err := command(t, web, "/exec/n/p/a?command=cat&input=1&output=1", remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &out})
	if err != nil || out.String() != "hello in a" {
		t.Errorf("%q, %v", out.String(), err)
	}
	err = command(t, web, "/exec/n/p/u/a?command=exit&output=1&error=1", remotecommand.StreamOptions{Stdout: &out, Stderr: &errOut})
	var code utilexec.CodeExitError
	if !errors.As(err, &code) || code.Code != 7 || errOut.String() != "bad" {
		t.Errorf("%q, %v", errOut.String(), err)
	}
	out.Reset()
	err = command(t, web, "/exec/n/p/a?command=size&output=1&tty=1", remotecommand.StreamOptions{Stdout: &out, Tty: true, TerminalSizeQueue: &oneSize{}})
	if err != nil || out.String() != "80x25" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	if err := command(t, web, "/attach/n/p/a?output=1", remotecommand.StreamOptions{Stdout: &out}); err != nil || out.String() != "attached" {
		t.Errorf("attach: %q, %v", out.String(), err)
	}
	if err := command(t, web, "/exec/n/p/other/a?command=cat&output=1", remotecommand.StreamOptions{Stdout: &out}); err == nil {
		t.Error("a pod of another UID was found")
	}
}

func TestPortForward(t *testing.T) {
	web, _ := serve(t)
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(web.URL + "/portForward/n/p")
	conn, _, err := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", u).Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	header := http.Header{"Streamtype": {"error"}, "Port": {"80"}, "Requestid": {"0"}}
	fault, err := conn.CreateStream(header)
	if err != nil {
		t.Fatal(err)
	}
	fault.Close()
	header.Set("Streamtype", "data")
	data, err := conn.CreateStream(header)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(data, "ping")
	data.Close()
	if got, err := io.ReadAll(data); err != nil || string(got) != "80 got ping" {
		t.Errorf("%q, %v", got, err)
	}
	if got, _ := io.ReadAll(fault); len(got) > 0 {
		t.Errorf("it failed: %s", got)
	}
}
