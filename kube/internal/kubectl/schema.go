package kubectl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"
)

// Before `kubectl create` sends an object it looks into the API server's schema, whether
// requests of this kind have the parameter by which the server validates fields. The schema
// of a group has up to 1.6 MB, and reading it takes longer than all the rest. So for that
// command the index of schemas leads to extracts, with the parameters alone, which kubectl
// keeps in its cache on disk, as it does with whole ones, by their URL with the schema's hash.

const (
	schemaIndex = "/openapi/v3"
	// extractParam marks the URL of an extract. It never goes to the server.
	extractParam = "cis-extract"
	// commandHeader is where kubectl tells the server which command it is.
	commandHeader = "Kubectl-Command"
)

// wrapConfig lets a client find extracts. The client's cache lies around it.
func wrapConfig(c *rest.Config) *rest.Config {
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return extracts{next} })
	return c
}

// extracts is a transport that makes them.
type extracts struct{ next http.RoundTripper }

func (e extracts) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case req.Method != http.MethodGet || req.Header.Get(commandHeader) != "kubectl create":
		return e.next.RoundTrip(req)
	case strings.HasSuffix(req.URL.Path, schemaIndex):
		return e.change(req, markIndex)
	case req.URL.Query().Has(extractParam):
		return e.change(withoutMark(req), extract)
	default:
		return e.next.RoundTrip(req)
	}
}

// WrappedRoundTripper is for those who look through transports, as client-go does.
func (e extracts) WrappedRoundTripper() http.RoundTripper { return e.next }

// change sends a request, and gives a good answer changed. What cannot be changed stays.
func (e extracts) change(req *http.Request, change func([]byte) ([]byte, error)) (*http.Response, error) {
	resp, err := e.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if closed := resp.Body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", req.URL.Path, err)
	}
	if changed, err := change(body); err == nil {
		body = changed
		resp.Header.Del("Content-Length")
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

func withoutMark(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	query := req.URL.Query()
	query.Del(extractParam)
	req.URL.RawQuery = query.Encode()
	return req
}

// index is what leads to the schemas of groups.
type index struct {
	Paths map[string]struct {
		ServerRelativeURL string `json:"serverRelativeURL"`
	} `json:"paths"`
}

// markIndex marks each schema that kubectl may keep: those with a hash.
func markIndex(body []byte) ([]byte, error) {
	var all index
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	for name, path := range all.Paths {
		at, err := url.Parse(path.ServerRelativeURL)
		if err != nil || !at.Query().Has("hash") {
			continue
		}
		path.ServerRelativeURL += "&" + extractParam
		all.Paths[name] = path
	}
	return json.Marshal(all)
}

// extracted is what an extract has of a schema.
type extracted struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]struct {
		Patch *struct {
			Parameters json.RawMessage `json:"parameters,omitempty"`
			Kind       json.RawMessage `json:"x-kubernetes-group-version-kind,omitempty"`
		} `json:"patch,omitempty"`
	} `json:"paths"`
	Components struct {
		Parameters json.RawMessage `json:"parameters,omitempty"`
	} `json:"components"`
}

func extract(body []byte) ([]byte, error) {
	var s extracted
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, err
	}
	for name, path := range s.Paths {
		if path.Patch == nil {
			delete(s.Paths, name)
		}
	}
	return json.Marshal(s)
}
