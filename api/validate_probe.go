package api

import (
	"fmt"
	"net/netip"
	"strings"
)

func (c *checker) probes(ct *Container, field string) {
	c.probe(ct.StartupProbe, field+".startupProbe", true)
	c.probe(ct.LivenessProbe, field+".livenessProbe", true)
	c.probe(ct.ReadinessProbe, field+".readinessProbe", false)
}

// probe checks one; one success is enough for those that restart a container.
func (c *checker) probe(p *Probe, field string, restarts bool) {
	if p == nil {
		return
	}
	c.between(int64(p.InitialDelaySeconds), 0, 86400, field+".initialDelaySeconds")
	c.between(int64(p.PeriodSeconds), 1, 86400, field+".periodSeconds")
	c.between(int64(p.TimeoutSeconds), 1, 3600, field+".timeoutSeconds")
	c.between(int64(p.FailureThreshold), 1, 10000, field+".failureThreshold")
	if restarts {
		c.between(int64(p.SuccessThreshold), 1, 1, field+".successThreshold")
	} else {
		c.between(int64(p.SuccessThreshold), 1, 10000, field+".successThreshold")
	}
	if grace := p.TerminationGracePeriodSeconds; grace != nil {
		c.check(restarts, field+".terminationGracePeriodSeconds", "is for startup and liveness probes only")
		c.between(*grace, 1, 3600, field+".terminationGracePeriodSeconds")
	}
	if p.Sleep != nil {
		c.bad(field+".sleep", "is for hooks only")
		return
	}
	c.handler(&p.Handler, field, "exec, httpGet, tcpSocket and grpc")
}

func (c *checker) hook(h *Handler, field string) {
	if h == nil {
		return
	}
	if h.TCPSocket != nil {
		c.bad(field+".tcpSocket", "is for probes only; use exec or httpGet")
		return
	}
	if h.GRPC != nil {
		c.bad(field+".grpc", "is for probes only; use exec or httpGet")
		return
	}
	c.handler(h, field, "exec, httpGet and sleep")
}

func (c *checker) handler(h *Handler, field, choices string) {
	n := 0
	if h.Exec != nil {
		n++
		c.check(len(h.Exec.Command) > 0 && h.Exec.Command[0] != "", field+".exec.command", "must name a program")
		c.words(h.Exec.Command, field+".exec.command")
	}
	if h.HTTPGet != nil {
		n++
		c.httpGet(h.HTTPGet, field+".httpGet")
	}
	if h.TCPSocket != nil {
		n++
		c.between(int64(h.TCPSocket.Port), 1, 65535, field+".tcpSocket.port")
		c.probeHost(h.TCPSocket.Host, field+".tcpSocket.host")
	}
	if h.GRPC != nil {
		n++
		c.between(int64(h.GRPC.Port), 1, 65535, field+".grpc.port")
		c.noNUL(h.GRPC.Service, field+".grpc.service")
	}
	if h.Sleep != nil {
		n++
		c.between(h.Sleep.Seconds, 0, 3600, field+".sleep.seconds")
	}
	c.check(n == 1, field, "must have exactly one of %s, not %d", choices, n)
}

func (c *checker) probeHost(host, field string) {
	address, err := netip.ParseAddr(host)
	c.check(host == "" || err == nil && address.Zone() == "", field, "must be an IP address, or be left out, not %q", clip(host))
}

func (c *checker) httpGet(h *HTTPGetAction, field string) {
	c.probeHost(h.Host, field+".host")
	c.between(int64(h.Port), 1, 65535, field+".port")
	oneOf(c, h.Scheme, field+".scheme", "HTTP", "HTTPS")
	c.check(strings.HasPrefix(h.Path, "/") && !hasControl(h.Path), field+".path", "must begin with '/' and have no control characters")
	for i, header := range h.HTTPHeaders {
		at := fmt.Sprintf("%s.httpHeaders[%d]", field, i)
		c.check(isHeaderName(header.Name), at+".name", "must be an HTTP header name: letters, digits and '-'")
		c.check(!hasControl(header.Value), at+".value", "must have no control characters")
	}
}

// hasControl tells of characters that could break out of a line.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
