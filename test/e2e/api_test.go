package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"

	"cis/api"
	"cis/client"
)

// http asks the API as any program could.
func (e *env) http(method, path, body string) (*http.Response, string) {
	e.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", strings.TrimPrefix(e.stage.Host, "unix://"))
	}}}
	req, err := http.NewRequestWithContext(e.Context(), method, "http://cis"+path, strings.NewReader(body))
	if err != nil {
		e.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	r, err := c.Do(req)
	if err != nil {
		e.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		e.Fatal(err)
	}
	return r, string(data)
}

var apiTests = tests{
	"it describes itself": func(e *env) {
		r, body := e.http("GET", "/openapi.json", "")
		var doc struct {
			OpenAPI string
			Paths   map[string]any
		}
		if err := json.Unmarshal([]byte(body), &doc); err != nil || r.StatusCode != 200 || !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Paths["/v1/instances"] == nil {
			e.Errorf("status %d, %v, version %q, %d paths", r.StatusCode, err, doc.OpenAPI, len(doc.Paths))
		}
	},
	"errors are problem details": func(e *env) {
		for _, test := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/v1/instances/nosuch", "", 404},
			{"GET", "/v1/nosuch", "", 404},
			{"DELETE", "/v1/instances", "", 405},
			{"POST", "/v1/instances", "{", 400},
			{"POST", "/v1/instances", `{"containers":[{"image":"x","nosuch":1}]}`, 400},
			{"GET", "/v1/instances?limit=-1", "", 400},
			{"GET", "/v1/instances?selector=((", "", 400},
			{"GET", "/v1/instances?continue=nonsense", "", 400},
		} {
			r, body := e.http(test.method, test.path, test.body)
			var p struct{ Title, Detail string }
			if r.StatusCode != test.status || r.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(body), &p) != nil || p.Detail == "" && p.Title == "" {
				e.Errorf("%s %s: status %d (want %d), %s: %s", test.method, test.path, r.StatusCode, test.status, r.Header.Get("Content-Type"), body)
			}
		}
	},
	"a client token makes create idempotent": func(e *env) {
		req := api.CreateInstance{ClientToken: "token-" + e.name(), InstanceSpec: api.InstanceSpec{Name: e.name(), Containers: []api.Container{e.sh("true")}}}
		first, err := e.stage.Client.Create(e.Context(), req)
		if err != nil {
			e.Fatal(err)
		}
		second, err := e.stage.Client.Create(e.Context(), req)
		if err != nil {
			e.Fatal(err)
		}
		e.equal("the same instance", second.ID, first.ID)
		req.Containers = []api.Container{e.sh("false")}
		if _, err := e.stage.Client.Create(e.Context(), req); api.CodeOf(err) != api.Conflict {
			e.Errorf("another spec with the same token: %v", err)
		}
	},
	"pages": func(e *env) {
		want := map[string]bool{}
		for range 5 {
			name := e.create(api.InstanceSpec{Labels: map[string]string{"paged": "yes"}, Containers: []api.Container{e.sh("true")}})
			want[name] = true
		}
		opts := client.ListOptions{Selector: "paged=yes", Limit: 2}
		for pages := 1; ; pages++ {
			page, err := e.stage.Client.List(e.Context(), opts)
			if err != nil {
				e.Fatal(err)
			}
			if len(page.Items) > 2 {
				e.Errorf("a page of %d", len(page.Items))
			}
			for _, in := range page.Items {
				if !want[in.Spec.Name] {
					e.Errorf("%s is there twice, or should not be", in.Spec.Name)
				}
				delete(want, in.Spec.Name)
			}
			if opts.Continue = page.Continue; opts.Continue == "" {
				e.equal("pages", pages, 3)
				break
			}
		}
		e.equal("not listed", len(want), 0)
	},
	"a watch tells of every change": func(e *env) {
		name := e.name()
		ctx, cancel := context.WithTimeout(e.Context(), patience)
		defer cancel()
		list, err := e.stage.Client.List(ctx, client.ListOptions{Selector: "watched=" + name})
		if err != nil {
			e.Fatal(err)
		}
		e.create(api.InstanceSpec{Name: name, Labels: map[string]string{"watched": name}, Containers: []api.Container{e.sh("true")}})
		var seen []string
		err = e.stage.Client.Watch(ctx, client.ListOptions{Selector: "watched=" + name}, list.Revision, func(ev api.WatchEvent[api.Instance]) error {
			step := ev.Type + " " + string(ev.Object.Status.Phase)
			if len(seen) == 0 || seen[len(seen)-1] != step {
				seen = append(seen, step)
			}
			switch {
			case ev.Type == api.WatchDeleted:
				return io.EOF
			case ev.Object.Status.Phase.Finished():
				go e.stage.Client.Remove(ctx, name, true, nil)
			}
			return nil
		})
		got := strings.Join(seen, ", ")
		if !strings.HasPrefix(got, "ADDED Pending") || !strings.Contains(got, "MODIFIED Running, MODIFIED Succeeded, DELETED") {
			e.Errorf("%v: %s", err, got)
		}
	},
}
