// Package client is the Go client of the HTTP API of cis. It has one method for
// each operation; every error it returns is, or wraps, an *api.Error, but for
// those of the caller's own context, readers, writers and functions.
//
// It keeps no state but its connections, retries nothing, and does no work
// before the first call. A Client may be used by several goroutines.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"cis/api"
)

// ErrDisconnected is in the chain of every error of a connection that could not
// be made or that broke off; of exec and attach also when the
// server says that it stops. What was asked for may go on without it.
var ErrDisconnected = errors.New("disconnected")

// disconnected makes err an error of the connection.
func disconnected(err error) error { return errors.Join(ErrDisconnected, err) }

// Options say where the server is and who asks.
type Options struct {
	// Host is unix:///path/of/the/socket or https://host:port.
	Host string
	// Token is the bearer token for https.
	Token string
	// CA is a file with the certificates to trust for https, in PEM. Empty: the system's.
	CA string
	// Account that the requests act for, where that is not the caller's own; AllAccounts to
	// look at all. Only who runs the service may set it.
	Account string
}

// AllAccounts in place of an account's name stands for all of them.
const AllAccounts = "*"

// accountHeader names the account that a request acts for.
const accountHeader = "Cis-Account"

// Client of one server.
type Client struct {
	http   *http.Client
	base   string // scheme and host of every request
	socket string // path of the unix socket, if it is one
	always http.Header
}

// New makes a client. It fails for options that can never work, and does not
// connect yet.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Host)
	if err != nil {
		return nil, api.FieldError("host", "%q is no URL: %w", o.Host, err).WithNext("use unix:///run/cis/cis.sock or https://host:port")
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
	c := &Client{http: &http.Client{Transport: transport}, always: o.header()}
	switch {
	case u.Scheme == "unix" && strings.HasPrefix(u.Path, "/") && u.Host == "":
		c.base, c.socket = "http://cis", u.Path
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.socket)
		}
	case u.Scheme == "https" && u.Host != "":
		c.base = "https://" + u.Host
		if transport.TLSClientConfig, err = tlsConfig(o.CA); err != nil {
			return nil, err
		}
		transport.Proxy = http.ProxyFromEnvironment
		transport.TLSHandshakeTimeout = 10 * time.Second
		transport.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	default:
		return nil, api.FieldError("host", "%q is no place to find cisd at", o.Host).
			WithNext("use unix:///run/cis/cis.sock or https://host:port")
	}
	return c, nil
}

func tlsConfig(ca string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return config, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, api.FieldError("ca", "cannot be read: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, api.FieldError("ca", "%s has no certificate in PEM", ca)
	}
	return config, nil
}

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// header of every request.
func (o *Options) header() http.Header {
	h := http.Header{}
	if o.Token != "" {
		h.Set("Authorization", "Bearer "+o.Token)
	}
	if o.Account != "" {
		h.Set(accountHeader, o.Account)
	}
	return h
}

func (c *Client) header() http.Header { return c.always.Clone() }

// url of a path, which is escaped already, with its query.
func (c *Client) url(path string, query url.Values) string {
	u := c.base + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return u
}

// instancePath names something of an instance.
func instancePath(ref string, parts ...string) string {
	return "/v1/instances/" + url.PathEscape(ref) + strings.Join(parts, "")
}
