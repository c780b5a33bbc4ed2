package plane

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"cis/kube/internal/pki"
	"cis/kube/internal/supervise"
)

// MetricsServer tells what nodes and pods use, for kubectl top and for autoscaling. As an
// argument of cis-kube it is metrics-server.
const MetricsServer = "metrics-server"

// metrics is what is known of metrics-server; Plane.mu guards it.
type metrics struct {
	port  uint16
	ready bool
}

// MetricsEndpoint is where the API server finds metrics-server: not valid until it is
// ready, so that nobody is led there before.
func (p *Plane) MetricsEndpoint() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.metrics.ready {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(p.Metrics, p.metrics.port)
}

func (c *Config) validateMetrics() error {
	if a := c.Metrics; a.IsValid() && (a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast()) {
		return fieldErrorf("metrics", "the API server does not reach metrics-server at %s: give another --node-address, or --metrics=false", a)
	}
	return nil
}

func (p *Plane) metricsStages() [][]supervise.Process {
	if !p.Metrics.IsValid() {
		return nil
	}
	return [][]supervise.Process{{p.own(MetricsServer, p.metricsServer)}}
}

// startMetrics starts metrics-server. Nobody waits for it: it has nothing to tell before it
// has asked the nodes twice.
func (p *Plane) startMetrics(ctx context.Context) {
	if !p.Metrics.IsValid() {
		return
	}
	result := p.late.Launch()
	go func() {
		select {
		case err := <-result:
			if err != nil {
				p.Log("metrics-server is not ready yet, and tried again", p.explain(err, 1))
				return
			}
			p.setMetricsReady(true)
			p.observe("make the objects of metrics-server", func() error { return p.bootstrap.Ensure(ctx, p) })
		case <-ctx.Done():
		}
	}()
}

func (p *Plane) setMetricsReady(ready bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metrics.ready = ready
}

// metricsServer is where the API server reaches it, which takes no loopback address for
// the endpoint of a Service.
func (p *Plane) metricsServer() (supervise.Run, error) {
	address, err := p.metricsAddress()
	if err != nil {
		return supervise.Run{}, err
	}
	config := p.path(pkiDir, pki.MetricsServerConfig)
	url := "https://" + address.String()
	return supervise.Run{
		Address: url,
		Args: []string{
			"--kubeconfig=" + config,
			"--authentication-kubeconfig=" + config,
			"--authorization-kubeconfig=" + config,
			"--bind-address=" + address.Addr().String(),
			fmt.Sprintf("--secure-port=%d", address.Port()),
			"--tls-cert-file=" + p.path(pkiDir, pki.MetricsServer+".crt"),
			"--tls-private-key-file=" + p.path(pkiDir, pki.MetricsServer+".key"),
			"--kubelet-use-node-status-port",
			"--kubelet-preferred-address-types=InternalIP",
			"--metric-resolution=15s",
			"--profiling=false",
		},
		Ready: healthy(p.httpsClient(), url+"/livez"),
	}, nil
}

// metricsAddress keeps to its port, which the API server knows, unless another has it.
func (p *Plane) metricsAddress() (netip.AddrPort, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, err := net.Listen("tcp", netip.AddrPortFrom(p.Metrics, p.metrics.port).String()); err == nil {
		p.metrics.port = l.Addr().(*net.TCPAddr).AddrPort().Port()
		return netip.AddrPortFrom(p.Metrics, p.metrics.port), l.Close()
	}
	port, err := freePort(p.Metrics)
	p.metrics.port = uint16(port)
	return netip.AddrPortFrom(p.Metrics, p.metrics.port), err
}
