package plane

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The programs of a control plane, as arguments of cis-kube.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// programs in their order of start.
var programs = []string{Etcd, APIServer, ControllerManager, Scheduler}

// Config is what a control plane shall be.
type Config struct {
	// DataDir keeps everything: keys, state, logs. An absolute path.
	DataDir string
	// Listen is where the API server listens. The unspecified address is all addresses.
	Listen netip.AddrPort
	// Advertise is where pods find the API server: the endpoint of the Service
	// kubernetes. The zero value is, with Services, a relay beside the pods; else the
	// address of Listen, or the host's own if that is unspecified; a Service without an
	// endpoint if it is a loopback address.
	Advertise netip.AddrPort
	// ServiceCIDR is where Services get their addresses. It stays for the life of a
	// data directory.
	ServiceCIDR netip.Prefix
	// External is an etcd that is run by others.
	External ExternalEtcd
	// Names are further names and addresses of the API server, for its certificate.
	Names []string
	// Extra are further flags of programs, by name.
	Extra map[string][]string
	// Node runs on this host; the zero value is none.
	Node Node
	// Services are served to the pods of Node; the zero value is not at all.
	Services Services
	// Metrics is the address of this host where metrics-server listens, on a free port; the
	// zero value is no metrics-server.
	Metrics netip.Addr
	// Program is the path of cis-kube, and Version the one of Kubernetes in it.
	Program, Version string
}

// ExternalEtcd says how to reach an etcd; without URLs cis-kube runs its own. The files
// are for https.
type ExternalEtcd struct {
	URLs          []string
	CA, Cert, Key string
}

// A FieldError is a setting that cannot be.
type FieldError struct {
	Field, Message string
}

func (e *FieldError) Error() string { return "--" + e.Field + ": " + e.Message }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// plain paths need no quoting in URLs and lists.
var plain = regexp.MustCompile(`^[A-Za-z0-9/._@+-]+$`)

// The longest path of a unix socket on Linux.
const maxSocketPath = 107

// Validate says what is wrong with the first bad setting, as a *FieldError.
func (c *Config) Validate() error {
	longest := max(len(c.path(etcdSocket)), len(c.path(etcdPeerSocket)), len(c.path(controlSocket)))
	switch {
	case !filepath.IsAbs(c.DataDir):
		return fieldErrorf("data-dir", "%q is not an absolute path", c.DataDir)
	case !plain.MatchString(c.DataDir):
		return fieldErrorf("data-dir", "%q has characters other than letters, digits and / . _ @ + -", c.DataDir)
	case longest > maxSocketPath:
		return fieldErrorf("data-dir", "%q is %d bytes too long for the unix sockets in it", c.DataDir, longest-maxSocketPath)
	case !c.Listen.IsValid() || c.Listen.Port() == 0:
		return fieldErrorf("listen", "want ADDRESS:PORT, with a port from 1 to 65535")
	case c.Listen.Addr().Zone() != "" || c.Listen.Addr().IsMulticast():
		return fieldErrorf("listen", "%s is not an address of a host", c.Listen.Addr())
	}
	for _, check := range []func() error{c.validateAdvertise, c.validateServices, c.External.validate, c.validateNames, c.validateExtra, c.validateNode, c.validateMetrics} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateAdvertise holds the address to what Kubernetes takes as an endpoint.
func (c *Config) validateAdvertise() error {
	a := c.Advertise.Addr()
	switch {
	case c.Advertise == (netip.AddrPort{}):
		return nil
	case a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast():
		return fieldErrorf("advertise-address", "%s cannot be an endpoint: it may not be unspecified, loopback, link-local or multicast", a)
	case c.Advertise.Port() == 0:
		return fieldErrorf("advertise-address", "the port has to be from 1 to 65535")
	case c.ServiceCIDR.Contains(a):
		return fieldErrorf("advertise-address", "%s is in --service-cidr %s", a, c.ServiceCIDR)
	}
	return nil
}

// The bits of a service address that may differ: for at least 16 Services, among them
// that of DNS, and at most what the API server takes.
const minServiceBits, maxServiceBits = 4, 20

func (c *Config) validateServices() error {
	p := c.ServiceCIDR
	if !p.IsValid() || p != p.Masked() {
		return fieldErrorf("service-cidr", "want a network, such as 10.96.0.0/16")
	}
	if free := p.Addr().BitLen() - p.Bits(); free < minServiceBits || free > maxServiceBits {
		return fieldErrorf("service-cidr", "%s has to be from /%d to /%d", p, p.Addr().BitLen()-maxServiceBits, p.Addr().BitLen()-minServiceBits)
	}
	if a := p.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsUnspecified() {
		return fieldErrorf("service-cidr", "%s cannot be given to Services", p)
	}
	return nil
}

func (e *ExternalEtcd) validate() error {
	files := []struct{ field, path string }{{"etcd-ca", e.CA}, {"etcd-cert", e.Cert}, {"etcd-key", e.Key}}
	for _, f := range files {
		switch {
		case f.path == "":
		case len(e.URLs) == 0:
			return fieldErrorf(f.field, "is for an external etcd: give --etcd too")
		default:
			if _, err := os.Stat(f.path); err != nil {
				return fieldErrorf(f.field, "%v", err)
			}
		}
	}
	if (e.Cert == "") != (e.Key == "") {
		return fieldErrorf("etcd-cert", "and --etcd-key go together")
	}
	for _, text := range e.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Path != "" || u.RawQuery != "" || u.User != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Hostname() == "" || u.Port() == "" {
			return fieldErrorf("etcd", "%q is not http://HOST:PORT or https://HOST:PORT", text)
		}
	}
	return nil
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func (c *Config) validateNames() error {
	for _, name := range c.Names {
		if _, err := netip.ParseAddr(name); err != nil && !dnsName.MatchString(name) {
			return fieldErrorf("name", "%q is neither an address nor a DNS name in lower case", name)
		}
	}
	return nil
}

func (c *Config) validateExtra() error {
	for name, flags := range c.Extra {
		if all := allPrograms(); !slices.Contains(all, name) {
			return fieldErrorf("extra", "%q is not a program; there are %s", name, strings.Join(all, ", "))
		}
		for _, flag := range flags {
			if !strings.HasPrefix(flag, "--") || len(flag) < 3 {
				return fieldErrorf("extra", "%q is not a flag such as --v=2", flag)
			}
		}
	}
	return nil
}

// LocalServer is the API server's URL for clients on this host.
func (c *Config) LocalServer() string {
	addr := c.Listen.Addr()
	if addr.IsUnspecified() {
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return serverURL(addr, c.Listen.Port())
}

// NodeServer is the API server's URL for nodes: as far as can be known, other hosts
// reach it too.
func (c *Config) NodeServer() string {
	if c.Listen.Addr().IsUnspecified() {
		if own := hostAddress(); own.IsValid() {
			return serverURL(own, c.Listen.Port())
		}
	}
	return c.LocalServer()
}

func serverURL(addr netip.Addr, port uint16) string {
	return "https://" + netip.AddrPortFrom(addr, port).String()
}

// Endpoint is where pods find the API server; not valid if they cannot.
func (c *Config) Endpoint() netip.AddrPort {
	if c.Advertise.IsValid() {
		return c.Advertise
	}
	if c.Services.served() {
		return relayAddress
	}
	addr := c.Listen.Addr()
	if addr.IsUnspecified() {
		addr = hostAddress()
	}
	if !addr.IsValid() || addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, c.Listen.Port())
}

// serviceIP is the nth address of the Services' network.
func (c *Config) serviceIP(n int) netip.Addr {
	addr := c.ServiceCIDR.Addr()
	for range n {
		addr = addr.Next()
	}
	return addr
}

// KubernetesIP is the address of the Service kubernetes: the first.
func (c *Config) KubernetesIP() netip.Addr { return c.serviceIP(1) }

// DNSIP is kept for the Service of the cluster's DNS: the tenth, as everywhere.
func (c *Config) DNSIP() netip.Addr { return c.serviceIP(10) }

// addresses and names of the API server, for its certificate.
func (c *Config) addresses() (ips []net.IP, names []string) {
	for _, addr := range []netip.Addr{c.KubernetesIP(), c.Listen.Addr(), c.Endpoint().Addr(), hostAddress()} {
		if addr.IsValid() && !addr.IsUnspecified() {
			ips = append(ips, addr.AsSlice())
		}
	}
	if host, err := os.Hostname(); err == nil && dnsName.MatchString(host) {
		names = append(names, host)
	}
	for _, name := range c.Names {
		if addr, err := netip.ParseAddr(name); err == nil {
			ips = append(ips, addr.AsSlice())
		} else {
			names = append(names, name)
		}
	}
	return ips, names
}

// hostAddress is the one that this host's packets to elsewhere carry; the zero value
// without a way to elsewhere. Nothing is sent.
func hostAddress() netip.Addr {
	for _, elsewhere := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := net.Dial("udp", elsewhere)
		if err != nil {
			continue
		}
		defer conn.Close()
		return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// ParseAdvertise reads ADDRESS or ADDRESS:PORT; the port is that of listen if missing.
func ParseAdvertise(text string, listen netip.AddrPort) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr, cmp.Or(listen.Port(), 443)), nil
	}
	both, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fieldErrorf("advertise-address", "%q is neither ADDRESS nor ADDRESS:PORT", text)
	}
	return both, nil
}
