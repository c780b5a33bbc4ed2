package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cis/api"
	"cis/internal/account"
	"cis/internal/server"
	"cis/internal/server/servertest"
)

// world is a handler with the engine behind it and what it logged.
type world struct {
	http.Handler
	engine *servertest.Engine
	log    *bytes.Buffer
}

func newWorld(auth server.Authenticate) *world {
	w := &world{engine: servertest.New(), log: &bytes.Buffer{}}
	s := server.New(server.Config{
		Engine: w.engine, Version: "v1", Log: slog.New(slog.NewTextHandler(w.log, nil)),
		Defaults: api.Defaults{MaxCPU: 4000, MaxMemory: 8 * api.GiB},
	})
	w.Handler = s.Handler(auth)
	return w
}

func (w *world) do(method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, fn := range change {
		fn(req)
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, req)
	return rec
}

// wantProblem checks that a reply is a problem, and returns it.
func wantProblem(t *testing.T, rec *httptest.ResponseRecorder, status int) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Fatalf("got %d, %q: %v", rec.Code, rec.Body, err)
	}
	if rec.Code != status || p.Status != status || rec.Header().Get("Content-Type") != "application/problem+json" ||
		p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Detail == "" || p.Code == "" ||
		p.Instance == "" || p.Instance != rec.Header().Get("X-Request-Id") {
		t.Errorf("got %d with %v: %+v, want %d", rec.Code, rec.Header(), p, status)
	}
	return p
}

func TestBadInput(t *testing.T) {
	w := newWorld(nil)
	if rec := w.do("POST", "/v1/instances", `{"name":"a","containers":[{"image":"b"}]}`); rec.Code != 201 {
		t.Fatalf("got %d, %s", rec.Code, rec.Body)
	}
	const good = `{"containers":[{"image":"a"}]}`
	tests := []struct {
		method, target, body string
		status               int
		field, says          string
	}{
		{"POST", "/v1/instances", "", 400, "", "empty"},
		{"POST", "/v1/instances", "[]", 400, "", "object"},
		{"POST", "/v1/instances", `{"containers":[{"image":"a"}]`, 400, "", "JSON"},
		{"POST", "/v1/instances", `{"contaners":[]}`, 400, "contaners", "no field"},
		{"POST", "/v1/instances", `{"containers":[{"image":"a","tty":"x"}]}`, 400, "containers[0].tty", "true or false"},
		{"POST", "/v1/instances", `{"containers":[{"image":"A"}]}`, 400, "containers[0].image", "lower-case"},
		{"POST", "/v1/instances", `{"cpu":64,"containers":[{"image":"a"}]}`, 400, "cpu", "at most the host's 4"},
		{"POST", "/v1/instances?dry=1", good, 400, "dry", "no query parameter"},
		{"POST", "/v1/instances", `{"name":"` + strings.Repeat("a", 3<<20) + `"}`, 413, "", "at most 2097152 bytes"},
		{"GET", "/v1/instances?limit=0", "", 400, "limit", "from 1 to 1000"},
		{"GET", "/v1/instances?limit=x", "", 400, "limit", "whole number"},
		{"GET", "/v1/instances?limit=1&limit=2", "", 400, "limit", "twice"},
		{"GET", "/v1/instances?selector=a%3D%3D%3Db", "", 400, "selector", "cannot be read"},
		{"GET", "/v1/instances?phase=Gone", "", 400, "phase", "Pending, Running, Succeeded, Failed"},
		{"GET", "/v1/instances?watch=maybe", "", 400, "watch", "true or false"},
		{"GET", "/v1/instances?watch=true&revision=-1", "", 400, "revision", "from 0"},
		{"GET", "/v1/instances?%zz", "", 400, "", "query cannot be read"},
		{"GET", "/v1/instances?lable=a", "", 400, "lable", "no query parameter"},
		{"POST", "/v1/instances/a/stop?grace=-1s", "", 400, "grace", "from 0 to 1h"},
		{"POST", "/v1/instances/a/stop?grace=2h", "", 400, "grace", "from 0 to 1h"},
		{"POST", "/v1/instances/a/kill?signal=FOO", "", 400, "signal", "signal's name"},
		{"POST", "/v1/instances/a/kill?signal=65", "", 400, "signal", "1 to 64"},
		{"GET", "/v1/instances/a/logs?tail=-1", "", 400, "tail", "number of lines"},
		{"GET", "/v1/instances/a/logs?since=yesterday", "", 400, "since", "RFC 3339"},
		{"GET", "/v1/instances/a/logs?format=xml", "", 400, "format", "text, frames"},
		{"GET", "/v1/instances/a/archive", "", 400, "path", "is required"},
		{"GET", "/v1/instances/a/archive?path=etc", "", 400, "path", "absolute"},
		{"GET", "/v1/instances/a/exec", "", 400, "command", "is required"},
		{"GET", "/v1/instances/a/exec?command=", "", 400, "command", "must name a program"},
		{"GET", "/v1/instances/a/exec?command=a&env=b", "", 400, "env", "NAME=VALUE"},
		{"GET", "/v1/instances/a/exec?command=a&workingDir=b", "", 400, "workingDir", "absolute"},
		{"GET", "/v1/instances/a/exec?command=a", "", 426, "", "WebSocket"},
		{"POST", "/v1/instances/a/ephemeralcontainers", `{"image":"a"}`, 400, "name", "lower-case"},
		{"POST", "/v1/instances/a/ephemeralcontainers", `{"name":"d","image":"a","targetContainerName":"x"}`, 400, "targetContainerName", `no container "x"`},
		{"POST", "/v1/instances/b/ephemeralcontainers", `{"name":"d","image":"a"}`, 404, "", `no instance "b"`},
		{"POST", "/v1/instances/a/resize", `{}`, 400, "cpu", "must be given"},
		{"POST", "/v1/instances/a/resize", `{"cpus":1}`, 400, "cpus", "no field"},
		{"POST", "/v1/instances/a/resize", `{"cpu":"0.51"}`, 400, "cpu", "multiple of 0.05"},
		{"POST", "/v1/instances/a/resize", `{"containers":[{"name":"x","resources":{"limits":{"cpu":"1"}}}]}`, 400, "containers[0].name", `no container "x"`},
		{"POST", "/v1/instances/b/resize", `{"cpu":"1"}`, 404, "", `no instance "b"`},
		{"GET", "/v1/instances/a/port-forward?port=0", "", 400, "port", "from 1 to 65535"},
		{"GET", "/v1/instances/a/port-forward?port=99999", "", 400, "port", "from 1 to 65535"},
		{"POST", "/v1/images/pull", `{"ref":"A"}`, 400, "ref", "lower-case"},
		{"POST", "/v1/images/pull", `{"ref":"a","policy":"always"}`, 400, "policy", "Always"},
		{"POST", "/v1/images/import?ref=A", "", 400, "ref", "lower-case"},
		{"PUT", "/v1/secrets/a", `{"name":"b","data":{"k":"aGk="}}`, 400, "name", "in the path"},
		{"PUT", "/v1/secrets/a", `{"data":{"k":"?"}}`, 400, "data[k]", "base64"},
		{"PUT", "/v1/secrets/A", `{"data":{"k":"aGk="}}`, 400, "name", "lower-case"},
		{"GET", "/v1/instances/none", "", 404, "", `no instance "none"`},
		{"GET", "/v1/nothing", "", 404, "", "nothing at /v1/nothing"},
		{"GET", "/", "", 404, "", "nothing at /"},
		{"PATCH", "/v1/instances/a", "", 405, "", "PATCH is not possible"},
		{"POST", "/v1/info", "", 405, "", "POST is not possible"},
		{"POST", "/v1/instances/a/start", "", 409, "", "runs already"},
		{"DELETE", "/v1/instances/a", "", 409, "", "still runs"},
		{"DELETE", "/v1/images/localhost:5000/a/b:c", "", 404, "", "no image localhost:5000/a/b:c"},
	}
	for _, tt := range tests {
		rec := w.do(tt.method, tt.target, tt.body)
		p := wantProblem(t, rec, tt.status)
		if p.Field != tt.field || !strings.Contains(p.Detail, tt.says) {
			t.Errorf("%s %s %.60s\ngives field %q: %s", tt.method, tt.target, tt.body, p.Field, p.Detail)
		}
	}
	if rec := w.do("PATCH", "/v1/instances/a", ""); rec.Header().Get("Allow") != "DELETE, GET, HEAD" {
		t.Errorf("Allow is %q", rec.Header().Get("Allow"))
	}
	if rec := w.do("GET", "/v1/instances", ""); strings.Count(rec.Body.String(), `"id"`) != 1 {
		t.Errorf("something was half made: %s", rec.Body)
	}
}

func TestSeveralMistakes(t *testing.T) {
	rec := newWorld(nil).do("POST", "/v1/instances", `{"name":"A","restartPolicy":"x","containers":[{"image":""}]}`)
	p := wantProblem(t, rec, 400)
	var fields []string
	for _, e := range p.Errors {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != "name restartPolicy containers[0].image" || p.Field != "name" {
		t.Errorf("got %s", got)
	}
}

func TestQuantitiesAsNumbersAndStrings(t *testing.T) {
	w := newWorld(nil)
	for i, spec := range []string{`"cpu":0.5,"memory":268435456`, `"cpu":"0.5","memory":"256Mi"`, `"cpu":"500m","memory":"262144Ki"`} {
		rec := w.do("POST", "/v1/instances", fmt.Sprintf(`{"name":"n%d",%s,"containers":[{"image":"a"}]}`, i, spec))
		if rec.Code != 201 || !strings.Contains(rec.Body.String(), `"cpu":"0.5","memory":"256Mi"`) {
			t.Errorf("%s gives %d, %s", spec, rec.Code, rec.Body)
		}
	}
	rec := w.do("POST", "/v1/instances", "name: yaml\ncontainers:\n- image: a\n")
	if rec.Code != 201 || !strings.HasPrefix(rec.Header().Get("Location"), "/v1/instances/i-") {
		t.Errorf("YAML gives %d, %s", rec.Code, rec.Body)
	}
}

func TestCodes(t *testing.T) {
	for code, status := range map[api.Code]int{
		api.Invalid: 400, api.Unauthenticated: 401, api.Forbidden: 403, api.NotFound: 404, api.Conflict: 409,
		api.Exhausted: 507, api.Unavailable: 503, api.Internal: 500,
	} {
		w := newWorld(nil)
		w.engine.OnCreate = func(context.Context) error { return api.Errorf(code, "why").WithNext("do this") }
		p := wantProblem(t, w.do("POST", "/v1/instances", `{"containers":[{"image":"a"}]}`), status)
		if p.Code != code || p.Detail != "why" || p.Next != "do this" {
			t.Errorf("got %+v", p)
		}
	}
}

func TestFaultsStayInside(t *testing.T) {
	for name, fn := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return fmt.Errorf("open /secret/place: denied") },
		"panic": func(context.Context) error { panic("secret") },
	} {
		w := newWorld(nil)
		w.engine.OnCreate = fn
		rec := w.do("POST", "/v1/instances", `{"containers":[{"image":"a"}]}`)
		p := wantProblem(t, rec, 500)
		if strings.Contains(rec.Body.String(), "secret") || !strings.Contains(p.Next, p.Instance) {
			t.Errorf("%s: %s", name, rec.Body)
		}
		if log := w.log.String(); !strings.Contains(log, "secret") || !strings.Contains(log, p.Instance) {
			t.Errorf("%s: the log has %s", name, log)
		}
	}
}

func TestRequestID(t *testing.T) {
	w := newWorld(nil)
	for given, kept := range map[string]bool{"abc-1.2_3": true, "": false, "a b": false, "a\"b": false, strings.Repeat("a", 65): false} {
		rec := w.do("GET", "/v1/version", "", func(r *http.Request) { r.Header.Set("X-Request-Id", given) })
		if got := rec.Header().Get("X-Request-Id"); got == "" || (got == given) != kept {
			t.Errorf("%q gives %q", given, got)
		}
	}
}

func TestTextLogs(t *testing.T) {
	w := newWorld(nil)
	w.do("POST", "/v1/instances", `{"name":"a","containers":[{"image":"b"}]}`)
	_ = w.engine.Print("a", 1, "one\ntwo")
	_ = w.engine.Print("a", 1, " more\n")
	_ = w.engine.Print("a", 2, "error\n")
	rec := w.do("GET", "/v1/instances/a/logs", "")
	if rec.Body.String() != "one\ntwo more\nerror\n" || rec.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("got %q, %v", rec.Body, rec.Header())
	}
	rec = w.do("GET", "/v1/instances/a/logs?timestamps&since=1h", "")
	lines := strings.SplitAfter(strings.TrimSuffix(rec.Body.String(), "\n"), "\n")
	for i, want := range []string{"one\n", "two more\n", "error"} {
		stamp, text, _ := strings.Cut(lines[i], " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil || time.Since(at) > time.Minute || text != want {
			t.Errorf("line %d is %q, %v", i, lines[i], err)
		}
	}
	rec = w.do("GET", "/v1/instances/a/logs?format=frames&tail=1", "")
	if got := rec.Body.String(); got != "\x02\x00\x00\x00\x00\x00\x00\x06error\n" {
		t.Errorf("the frames are %q", got)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(nil)
	w.do("POST", "/v1/instances", `{"name":"a","containers":[{"image":"b"}]}`)
	for range 3 {
		w.do("GET", "/v1/instances/none", "")
	}
	w.do("GET", "/v1/nowhere", "")
	body := w.do("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`cis_http_requests_total{route="GET /v1/instances/{ref}",code="404"} 3`,
		`cis_http_requests_total{route="none",code="404"} 1`,
		`cis_http_request_duration_seconds_bucket{route="POST /v1/instances",le="+Inf"} 1`,
		`cis_http_request_duration_seconds_count{route="GET /v1/instances/{ref}"} 3`,
		`cis_instances{phase="Running"} 1`,
		`cis_capacity_cpu_cores 4`,
		"# TYPE cis_http_request_duration_seconds histogram",
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
}

func TestHealth(t *testing.T) {
	rec := newWorld(func(*http.Request) (account.Caller, error) { return account.Caller{}, api.Errorf(api.Forbidden, "no") }).do("GET", "/healthz", "")
	if rec.Code != 200 || rec.Body.String() != "ok\n" {
		t.Errorf("got %d, %q", rec.Code, rec.Body)
	}
}

func TestDisconnectCancels(t *testing.T) {
	w := newWorld(nil)
	entered, left := make(chan struct{}), make(chan error, 1)
	w.engine.OnCreate = func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		left <- ctx.Err()
		return ctx.Err()
	}
	ts := httptest.NewServer(w)
	defer ts.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	req, _ := http.NewRequestWithContext(ctx, "POST", ts.URL+"/v1/instances", strings.NewReader(`{"containers":[{"image":"a"}]}`))
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		t.Error("the request was answered")
	}
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Error("the engine was not told")
	}
}

func TestNothingIsFaultyLogged(t *testing.T) {
	w := newWorld(nil)
	w.do("GET", "/v1/instances/none", "")
	if w.log.Len() > 0 {
		t.Errorf("a caller's mistake is in the log: %s", w.log)
	}
}
