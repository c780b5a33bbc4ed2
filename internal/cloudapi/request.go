package cloudapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"cis/api"
	"cis/internal/account"
	"cis/internal/cloudapi/cloud"
)

// The most bytes of the parameters of a request, by how it comes.
const (
	maxQuery    = 32 << 10
	maxFormBody = 1 << 20
	maxJSONBody = 10 << 20
)

// call is a request whose signature has been verified.
type call struct {
	caller    account.Caller
	secretID  string
	signature string

	product        cloud.Product
	action, region string
	params         func() (*node, error)
}

// authenticate finds out who makes a request and what for.
func (s *Server) authenticate(r *http.Request) (*call, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return nil, cloud.Errorf(cloud.UnsupportedProtocol, "only GET and POST are understood, not %s", clip(r.Method))
	}
	if r.URL.Path != "/" {
		return nil, cloud.Errorf(cloud.InvalidRequest, "requests go to the path /, not %s", clip(r.URL.Path))
	}
	if len(r.URL.RawQuery) > maxQuery {
		return nil, tooLarge("the query", maxQuery)
	}
	if r.Method == http.MethodPost && r.URL.RawQuery != "" {
		return nil, cloud.Errorf(cloud.InvalidRequest, "the parameters of a POST are in its body alone")
	}
	switch len(r.Header.Values("Authorization")) {
	case 0:
		return s.authenticateV1(r)
	case 1:
		return s.authenticateTC3(r)
	}
	return nil, badAuthorization("it is there more than once")
}

func (s *Server) authenticateTC3(r *http.Request) (*call, error) {
	a, err := parseTC3(r.Header.Get("Authorization"))
	if err != nil {
		return nil, err
	}
	h := r.Header
	if _, err := a.checkTime(h.Get("X-TC-Timestamp"), s.Now()); err != nil {
		return nil, err
	}
	if err := checkType(r, map[string]string{http.MethodGet: typeForm, http.MethodPost: typeJSON}[r.Method]); err != nil {
		return nil, err
	}
	key, err := s.key(r, a.secretID, h.Get("X-TC-Token"))
	if err != nil {
		return nil, err
	}
	body, err := readBody(r, maxJSONBody)
	if err != nil {
		return nil, err
	}
	if err := a.verify(key.Secret, r, body); err != nil {
		return nil, err
	}
	c := &call{caller: key.Caller, secretID: a.secretID, signature: a.signature, action: h.Get("X-TC-Action"), region: h.Get("X-TC-Region")}
	c.params = func() (*node, error) { return parseJSON(body) }
	if r.Method == http.MethodGet {
		c.params = func() (*node, error) {
			f, err := parseForm(r.URL.RawQuery)
			if err != nil {
				return nil, err
			}
			return f.tree()
		}
	}
	c.product, err = s.product(a.service, r, h.Get("X-TC-Version"), "X-TC-Version")
	return c, err
}

func (s *Server) authenticateV1(r *http.Request) (*call, error) {
	raw := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if err := checkType(r, typeForm); err != nil {
			return nil, err
		}
		body, err := readBody(r, maxFormBody)
		if err != nil {
			return nil, err
		}
		raw = string(body)
	} else if _, err := readBody(r, 0); err != nil {
		return nil, err
	}
	f, err := parseForm(raw)
	if err != nil {
		return nil, err
	}
	if f["Signature"] == "" {
		return nil, cloud.Errorf(cloud.InvalidAuthorization, "the request is not signed: it has neither the header Authorization nor the parameter Signature")
	}
	if _, err := signedAt("Timestamp", f["Timestamp"], s.Now()); err != nil {
		return nil, err
	}
	key, err := s.key(r, f["SecretId"], f["Token"])
	if err != nil {
		return nil, err
	}
	if err := verifyV1(key.Secret, r, f); err != nil {
		return nil, err
	}
	c := &call{caller: key.Caller, secretID: f["SecretId"], signature: f["Signature"], action: f["Action"], region: f["Region"], params: f.own().tree}
	c.product, err = s.product(label(r), r, f["Version"], "Version")
	return c, err
}

// key finds the key that signs a request.
func (s *Server) key(r *http.Request, secretID, token string) (Key, error) {
	if secretID == "" {
		return Key{}, cloud.Errorf(cloud.MissingParameter, "SecretId is required")
	}
	if token != "" {
		return Key{}, cloud.Errorf(cloud.TokenFailure, "there are no temporary keys here: sign without a token")
	}
	key, err := s.Keys.Key(r.Context(), secretID)
	switch api.CodeOf(err) {
	case api.NotFound, api.Unauthenticated:
		return key, cloud.Errorf(cloud.SecretIDNotFound, "the SecretId does not exist, is disabled or has expired")
	}
	return key, err
}

// product is the one that a request is for: that of its service or, where the client knows
// none since the endpoint is a plain address or name, that of its version.
func (s *Server) product(service string, r *http.Request, version, field string) (cloud.Product, error) {
	if version == "" {
		return cloud.Product{}, cloud.Errorf(cloud.MissingParameter, "%s is required", field)
	}
	for _, p := range s.products {
		if p.Name == service {
			if p.Version != version {
				return p, cloud.Errorf(cloud.NoSuchVersion, "the version of %s is %s, not %q", p.Name, p.Version, clip(version))
			}
			return p, nil
		}
	}
	for _, p := range s.products {
		if service == label(r) && p.Version == version {
			return p, nil
		}
	}
	var have []string
	for _, p := range s.products {
		have = append(have, p.Name+" "+p.Version)
	}
	return cloud.Product{}, cloud.Errorf(cloud.NoSuchProduct, "there is no product %q of version %q here, only %s", clip(service), clip(version), strings.Join(have, ", "))
}

// label is the first of the host's name, which is the product in names such as
// cis.example.com.
func label(r *http.Request) string {
	first, _, _ := strings.Cut(r.Host, ".")
	return first
}

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

func checkType(r *http.Request, want string) error {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		return cloud.Errorf(cloud.UnsupportedProtocol, "the Content-Type of a %s that is signed like this must be %s, not %q", r.Method, want, clip(r.Header.Get("Content-Type")))
	}
	return nil
}

// readBody reads a body of at most so many bytes; that of a GET has none.
func readBody(r *http.Request, most int64) ([]byte, error) {
	if r.Method == http.MethodGet {
		most = 0
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge("the body", most)
	}
	if err != nil {
		return nil, cloud.Errorf(cloud.InvalidRequest, "the body cannot be read")
	}
	return body, nil
}

func tooLarge(what string, most int64) error {
	return cloud.Errorf(cloud.RequestSizeLimitExceeded, "%s of such a request may have at most %d bytes", what, most)
}
