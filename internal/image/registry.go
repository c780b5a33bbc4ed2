package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"cis/api"
)

// registries makes connections to registries.
type registries struct {
	insecure []string
	roots    *x509.CertPool            // nil: the system's
	special  map[string]*x509.CertPool // by registry

	mu         sync.Mutex
	transports map[string]http.RoundTripper // by registry
}

func newRegistries(o Options) (*registries, error) {
	r := &registries{insecure: o.InsecureRegistries, special: map[string]*x509.CertPool{}, transports: map[string]http.RoundTripper{}}
	var err error
	if o.CAFile != "" {
		if r.roots, err = withCA(nil, o.CAFile); err != nil {
			return nil, err
		}
	}
	for host, file := range o.RegistryCAFiles {
		if r.special[host], err = withCA(r.roots, file); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// withCA returns base, or the system's CAs, with those of a PEM file.
func withCA(base *x509.CertPool, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read registry CA: %w", err)
	}
	if base == nil {
		if base, err = x509.SystemCertPool(); err != nil {
			base = x509.NewCertPool() // a host without any
		}
	}
	pool := base.Clone()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read registry CA: %s holds no PEM certificate", file)
	}
	return pool, nil
}

// repository is an authenticated connection to one repository.
type repository struct {
	ref    name.Reference
	tr     http.RoundTripper
	client *http.Client
}

// open connects to the registry of ref and gets the manifest that it names.
func (r *registries) open(ctx context.Context, ref name.Reference, auth Auth) (*repository, *remote.Descriptor, error) {
	repo := ref.Context()
	tr, err := transport.NewWithContext(ctx, repo.Registry, auth.authenticator(), r.transport(repo.RegistryStr()), []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, nil, err
	}
	c := &repository{ref: ref, tr: tr, client: &http.Client{Transport: tr, CheckRedirect: checkRedirect}}
	desc, err := c.manifest(ctx, ref)
	return c, desc, err
}

func (c *repository) manifest(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	return remote.Get(ref, remote.WithContext(ctx), remote.WithTransport(c.tr))
}

// blob asks for a blob from offset on. The answer's status is 200 (all of it),
// 206 (from offset) or 416 (there is no such offset).
func (c *repository) blob(ctx context.Context, h v1.Hash, offset int64) (*http.Response, error) {
	repo := c.ref.Context()
	u := url.URL{Scheme: repo.Scheme(), Host: repo.RegistryStr(), Path: "/v2/" + repo.RepositoryStr() + "/blobs/" + h.String()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(resp, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// parse parses a reference; the library asks only registries that may speak http
// without encryption.
func (r *registries) parse(ref string) (name.Reference, error) {
	parsed, err := parseRef(ref)
	if err == nil && r.httpAllowed(parsed.Context().RegistryStr()) {
		return parseRef(ref, name.Insecure)
	}
	return parsed, err
}

// httpAllowed says whether a host[:port] may be spoken to without encryption.
func (r *registries) httpAllowed(host string) bool {
	return isLoopback(host) || slices.Contains(r.insecure, host)
}

func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(trimBrackets(host))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// transport returns the connections to one registry, kept for the next pull.
func (r *registries) transport(host string) http.RoundTripper {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.transports[host]; t != nil {
		return t
	}
	roots := r.roots
	if special := r.special[host]; special != nil {
		roots = special
	}
	t := transport.NewRetry(&guard{r, &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   downloadSlots,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // blobs are compressed already, and counted as they are
		TLSClientConfig:       &tls.Config{RootCAs: roots},
	}}, transport.WithRetryPredicate(passing), transport.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout))
	r.transports[host] = t
	return t
}

// passing says whether to ask again at once. An address that does not answer,
// or refuses, is a mistake more often than an accident: those fail fast.
func passing(err error) bool {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e.Temporary()
	}
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// guard lets no request go unencrypted to a host that was not allowed to, the
// registry's own redirects and token servers included. (The registry library
// itself takes http for good enough on private addresses.)
type guard struct {
	registries *registries
	next       http.RoundTripper
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" && !g.registries.httpAllowed(req.URL.Host) {
		return nil, errPlainHTTP(req.URL.Host)
	}
	return g.next.RoundTrip(req)
}

func errPlainHTTP(host string) error {
	return api.Errorf(api.Unavailable, "%s does not answer over https", host).
		WithNext("check the registry's address, or list %s under the insecure registries if it speaks only http", host)
}

// checkRedirect keeps a registry from sending us to this machine's own
// services or its cloud's metadata.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	ip := net.ParseIP(req.URL.Hostname())
	local := ip != nil && ip.IsLinkLocalUnicast() || isLoopback(req.URL.Host)
	if local && !isLoopback(via[0].URL.Host) {
		return fmt.Errorf("the registry redirects to %s, an address of this machine", req.URL.Host)
	}
	return nil
}
