package agent_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime/runtimetest"
)

// site is a web server that probes ask.
func site(t *testing.T, tls bool, h http.HandlerFunc) (port int) {
	s := httptest.NewUnstartedServer(h)
	if tls {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, _ = strconv.Atoi(u.Port())
	return port
}

func get(port int, path string) api.Handler {
	return api.Handler{HTTPGet: &api.HTTPGetAction{Port: port, Path: path}}
}

func TestProbeHandlers(t *testing.T) {
	var elsewhere atomic.Int32
	handler := func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/ok":
			if req.Host != "example.org" || req.Header.Get("X-A") != "b" || req.URL.RawQuery != "q=1" {
				w.WriteHeader(400)
			}
		case "/bad":
			w.WriteHeader(503)
		case "/redirect":
			http.Redirect(w, req, "/bad", http.StatusFound)
		case "/away":
			http.Redirect(w, req, "http://elsewhere.invalid/", http.StatusFound)
			elsewhere.Add(1)
		case "/loop":
			http.Redirect(w, req, "/loop", http.StatusFound)
		case "/endless":
			for i := 0; i < 1000; i++ {
				if _, err := w.Write(make([]byte, 10<<10)); err != nil {
					return
				}
			}
		case "/slow":
			<-req.Context().Done()
		}
	}
	port, secure := site(t, false, handler), site(t, true, handler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	open := l.Addr().(*net.TCPAddr).Port
	withHeaders := get(port, "/ok?q=1")
	withHeaders.HTTPGet.HTTPHeaders = []api.HTTPHeader{{Name: "host", Value: "example.org"}, {Name: "X-A", Value: "b"}}
	https := get(secure, "/endless")
	https.HTTPGet.Scheme = "HTTPS"
	exec := func(args ...string) api.Handler { return api.Handler{Exec: &api.ExecAction{Command: args}} }
	for name, c := range map[string]struct {
		h    api.Handler
		want string // in the event; empty: healthy
	}{
		"headers": {withHeaders, ""}, "https": {https, ""}, "endless": {get(port, "endless"), ""},
		"away": {get(port, "/away"), ""}, "redirect": {get(port, "/redirect"), "statuscode: 503"},
		"loop": {get(port, "/loop"), "10 redirects"}, "bad": {get(port, "/bad"), "statuscode: 503"},
		"slow": {get(port, "/slow"), "deadline exceeded"},
		"tcp":  {api.Handler{TCPSocket: &api.TCPSocketAction{Port: open}}, ""},
		"shut": {api.Handler{TCPSocket: &api.TCPSocketAction{Port: 1}}, "refused"},
		"exec": {exec("echo", "fine"), ""}, "fails": {exec("fail", "3", "because"), "exit code 3: because"},
		"hangs": {exec("stubborn"), "did not end in time"}, "missing": {exec("missing"), "not found"},
		"floods": {exec("flood", "5000000"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			con := container("sleep")
			con.ReadinessProbe = &api.Probe{Handler: c.h, PeriodSeconds: 60}
			r.run(api.RestartNever, con)
			s := r.until("an answer", func(s agentpb.State) bool {
				return running(s) && s.Containers[0].Ready || len(s.Events) > 2
			})
			if c.want == "" && !s.Containers[0].Ready {
				t.Errorf("not ready: %+v", s.Events)
			}
			if c.want != "" {
				e := s.Events[len(s.Events)-1]
				if e.Reason != "Unhealthy" || !strings.HasPrefix(e.Message, "Readiness probe failed: ") || !strings.Contains(e.Message, c.want) {
					t.Errorf("%+v", e)
				}
			}
			r.alone()
		})
	}
}

func TestLivenessRestarts(t *testing.T) {
	healthy := atomic.Bool{}
	port := site(t, false, func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(500)
		}
	})
	r := newRig(t)
	c := container("graceful", "0")
	c.LivenessProbe = &api.Probe{Handler: get(port, "/"), PeriodSeconds: 1, FailureThreshold: 2}
	r.run(api.RestartOnFailure, c)
	s := r.until("a restart", func(s agentpb.State) bool { return running(s) && s.Containers[0].RestartCount == 1 })
	if last := s.Containers[0].LastState.Terminated; last.ExitCode != 0 {
		t.Errorf("%+v", last)
	}
	healthy.Store(true)
	time.Sleep(1100 * time.Millisecond)
	if s := r.until("a state", func(agentpb.State) bool { return true }); s.Containers[0].RestartCount != 1 {
		t.Errorf("%+v", s)
	}
}

func TestHooks(t *testing.T) {
	r := newRig(t)
	var order []string
	note := make(chan string, 10)
	r.rt.Handle("note", func(p *runtimetest.Proc) int { note <- p.Args[1]; return 0 })
	port := site(t, false, func(w http.ResponseWriter, _ *http.Request) {
		note <- "http"
		w.WriteHeader(500) // an answer is an answer
	})
	exec := func(args ...string) *api.Handler { return &api.Handler{Exec: &api.ExecAction{Command: args}} }
	hook := get(port, "/")
	a := container("sleep")
	a.Lifecycle = &api.Lifecycle{PostStart: exec("note", "started"), PreStop: &hook}
	b := agentpb.Container{Name: "b", Args: []string{"sleep"}, Lifecycle: &api.Lifecycle{PreStop: exec("sleep")}}
	r.run(api.RestartNever, a, b)
	r.until("running", func(s agentpb.State) bool { return running(s) && s.Containers[1].Ready })
	began := time.Now()
	r.client.Stop(t.Context(), 100*time.Millisecond, "")
	s := r.until("the end", finished)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	for len(note) > 0 {
		order = append(order, <-note)
	}
	if fmt.Sprint(order) != "[started http]" {
		t.Error(order)
	}
	var reasons []string
	for _, e := range s.Events {
		if e.Container == "b" {
			reasons = append(reasons, e.Reason)
		}
	}
	if fmt.Sprint(reasons) != "[Created Started Killing FailedPreStopHook]" {
		t.Error(reasons)
	}
	r2 := newRig(t)
	c := container("sleep")
	c.Lifecycle = &api.Lifecycle{PostStart: exec("fail", "9", "broken")}
	r2.run(api.RestartNever, c)
	got := r2.until("the end", finished).Containers[0].State.Terminated
	if got.Reason != api.ReasonPostStartError || !strings.Contains(got.Message, "exit code 9: broken") {
		t.Errorf("%+v", got)
	}
}
