package join

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// renewing sends requests with the newest of the node's certificates. What is under way with
// an older one is left alone: client-go's own way would close its connections, requests and all,
// and would look for another certificate only every five minutes.
type renewing struct {
	tls     *tls.Config
	current func() *tls.Certificate

	mu        sync.Mutex
	of        *tls.Certificate
	transport *http.Transport
}

// newRenewing makes connections as config says, but for who makes them: that current says.
func newRenewing(config *rest.Config, current func() *tls.Certificate) (*renewing, error) {
	c, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("how to reach the cluster: %w", err)
	}
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return &renewing{tls: c, current: current}, nil
}

// RoundTrip implements http.RoundTripper.
func (r *renewing) RoundTrip(request *http.Request) (*http.Response, error) {
	return r.newest().RoundTrip(request)
}

// newest is the transport with the newest certificate that is valid, if there is one.
func (r *renewing) newest() *http.Transport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cert := r.current(); r.transport == nil || cert != nil && cert != r.of {
		if r.transport != nil {
			r.transport.CloseIdleConnections()
		}
		r.of, r.transport = cert, r.with(cert)
	}
	return r.transport
}

func (r *renewing) with(cert *tls.Certificate) *http.Transport {
	c := r.tls.Clone()
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	return utilnet.SetTransportDefaults(&http.Transport{TLSClientConfig: c, MaxIdleConnsPerHost: 25})
}
