package kubectl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/discovery/cached/disk"
	"k8s.io/client-go/rest"
)

const (
	wholeSchema = `{"openapi": "3.0.0",
		"paths": {
			"/api/v1/": {"get": {"operationId": "list"}},
			"/api/v1/pods/{name}": {
				"get": {"operationId": "read", "parameters": [{"name": "pretty", "in": "query"}]},
				"patch": {"operationId": "change", "parameters": [{"name": "dryRun", "in": "query"}, {"name": "fieldValidation", "in": "query"}],
					"x-kubernetes-group-version-kind": {"group": "", "kind": "Pod", "version": "v1"}}},
			"/api/v1/nodes/{name}": {
				"patch": {"parameters": [{"name": "dryRun", "in": "query"}],
					"x-kubernetes-group-version-kind": {"group": "", "kind": "Node", "version": "v1"}}}},
		"components": {"schemas": {"Pod": {"type": "object"}}}}`
	wholeIndex = `{"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=7"}, "version": {"serverRelativeURL": "/openapi/v3/version"}}}`
)

// server answers as an API server, and records what it is asked for.
func server(t *testing.T) (*httptest.Server, *[]string) {
	t.Helper()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+"?"+r.URL.Query().Encode())
		switch r.URL.Path {
		case "/openapi/v3":
			fmt.Fprint(w, wholeIndex)
		case "/openapi/v3/api/v1":
			w.Header().Set("Cache-Control", "public, immutable")
			w.Header().Set("Expires", time.Now().Add(time.Hour).Format(time.RFC1123))
			fmt.Fprint(w, wholeSchema)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

// client is one as kubectl has it, for one command.
func client(t *testing.T, s *httptest.Server, cache, command string) *disk.CachedDiscoveryClient {
	t.Helper()
	config := wrapConfig(&rest.Config{Host: s.URL})
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return header{next, command} })
	c, err := disk.NewCachedDiscoveryClientForConfig(config, cache, cache, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type header struct {
	next    http.RoundTripper
	command string
}

func (h header) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set(commandHeader, h.command)
	return h.next.RoundTrip(req)
}

// TestCreate looks into extracts, which are fetched once, and never told from whole schemas
// by the server.
func TestCreate(t *testing.T) {
	s, asked := server(t)
	cache := t.TempDir()
	for range 2 {
		c := client(t, s, cache, "kubectl create")
		verifier := resource.NewQueryParamVerifierV3(nil, c.OpenAPIV3(), resource.QueryParamFieldValidation)
		if err := verifier.HasSupport(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}); err != nil {
			t.Errorf("the parameter of Pods: %v", err)
		}
		if err := verifier.HasSupport(schema.GroupVersionKind{Version: "v1", Kind: "Node"}); !resource.IsParamUnsupportedError(err) {
			t.Errorf("the parameter of Nodes, which is not there: %v", err)
		}
	}
	count := 0
	for _, url := range *asked {
		if strings.Contains(url, extractParam) {
			t.Errorf("the server was asked for %s", url)
		}
		if strings.HasPrefix(url, "/openapi/v3/api/v1?hash=7") {
			count++
		}
	}
	if count != 1 {
		t.Errorf("the schema was fetched %d times: %q", count, *asked)
	}
}

// TestOtherCommands get whole schemas, though extracts are in the cache.
func TestOtherCommands(t *testing.T) {
	s, _ := server(t)
	cache := t.TempDir()
	for _, test := range []struct{ command, want string }{
		{"kubectl create", ""}, {"kubectl explain", wholeSchema}, {"kubectl create deployment", wholeSchema}, {"", wholeSchema},
	} {
		paths, err := client(t, s, cache, test.command).OpenAPIV3().Paths()
		if err != nil {
			t.Fatal(err)
		}
		body, err := paths["api/v1"].Schema("application/json")
		if err != nil {
			t.Fatal(err)
		}
		if whole := string(body) == wholeSchema; whole != (test.want != "") {
			t.Errorf("%q got %s", test.command, body)
		}
	}
}

func TestMarkIndex(t *testing.T) {
	marked, err := markIndex([]byte(wholeIndex))
	var got index
	if err == nil {
		err = json.Unmarshal(marked, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"api/v1": "/openapi/v3/api/v1?hash=7&" + extractParam, "version": "/openapi/v3/version"} {
		if url := got.Paths[name].ServerRelativeURL; url != want {
			t.Errorf("%s is at %s, want %s", name, url, want)
		}
	}
	if out, err := markIndex([]byte("no JSON")); err == nil {
		t.Errorf("what is no index became %s", out)
	}
}
