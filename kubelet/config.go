package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"cis-kubelet/internal/join"
	"cis-kubelet/internal/pressure"
	"cis-kubelet/internal/translate"
	"cis/api"
	"cis/client"
)

// config is what the command line says.
type config struct {
	join      join.Options
	cis       client.Options
	tokenFile string
	nodeIP    string
	listen    string
	tlsCert   string
	tlsKey    string
	clientCA  string
	dns       translate.ClusterDNS
	// serviceCIDR is valid if the node leads what comes from beyond the cluster to its Services.
	serviceCIDR netip.Prefix
	labels      map[string]string
	taints      []corev1.Taint
	cpu         api.CPU
	memory      api.Bytes
	storage     api.Bytes
	pods        int64
	thresholds  []pressure.Threshold
	// evictionGrace is the most that pods have which go for a soft threshold.
	evictionGrace time.Duration
	transition    time.Duration
}

// defaultTaint keeps pods away that were not meant for a virtual node, as every virtual
// node does; who wants all pods on it gives an empty -taint.
const defaultTaint = "virtual-kubelet.io/provider=cis:NoSchedule"

func parse(args []string) (*config, error) {
	c := &config{labels: map[string]string{}}
	host, _ := os.Hostname()
	f := flag.NewFlagSet("cis-kubelet", flag.ContinueOnError)
	f.StringVar(&c.join.Kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "`file` that tells the cluster and who the node is there")
	f.StringVar(&c.join.Bootstrap, "bootstrap-kubeconfig", "", "`file` with a bootstrap token, to have the cluster sign the node's certificates; instead of -kubeconfig")
	f.StringVar(&c.join.CertDir, "cert-dir", "/var/lib/cis-kubelet/pki", "`directory` of the certificates that the cluster signed")
	f.StringVar(&c.join.Node, "node-name", strings.ToLower(host), "`name` of the node")
	f.StringVar(&c.cis.Host, "cis-host", first(os.Getenv("CIS_HOST"), "unix:///run/cis/cis.sock"), "where cisd is: unix:///path or https://host:port")
	f.StringVar(&c.cis.CA, "cis-ca", os.Getenv("CIS_CA"), "`file` with the certificates to trust for cisd")
	f.StringVar(&c.tokenFile, "cis-token-file", "", "`file` with the API key of cisd")
	f.StringVar(&c.nodeIP, "node-ip", "", "`address` by which the API server reaches the node; by default that which leads to the API server")
	f.StringVar(&c.listen, "listen", ":10250", "`address` of the node's server")
	f.StringVar(&c.tlsCert, "tls-cert", "", "`file` with the server's certificate; by default the cluster signs one")
	f.StringVar(&c.tlsKey, "tls-key", "", "`file` with its key")
	f.StringVar(&c.clientCA, "client-ca", "", "`file` with the CA of the clients of the node's server")
	f.StringVar(&c.dns.Domain, "cluster-domain", "cluster.local", "`domain` of the cluster's services")
	f.Func("cluster-dns", "`address` of the cluster's DNS; may be given again; without it pods have the VPC's", func(s string) error {
		if net.ParseIP(s) == nil {
			return fmt.Errorf("must be an IP address")
		}
		c.dns.Servers = append(c.dns.Servers, s)
		return nil
	})
	f.Func("service-cidr", "`network` of the cluster's Services, where a kube-proxy serves them in the network namespace of the pods' VPC: node ports, public addresses and the host's route to the network then lead there", func(s string) (err error) {
		c.serviceCIDR, err = netip.ParsePrefix(s)
		if err != nil || !c.serviceCIDR.Addr().Is4() {
			return fmt.Errorf("must be an IPv4 network such as 10.96.0.0/16")
		}
		c.serviceCIDR = c.serviceCIDR.Masked()
		return nil
	})
	f.Func("label", "`key=value` label of the node; may be given again", func(s string) error {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return fmt.Errorf("must be key=value")
		}
		c.labels[key] = value
		return nil
	})
	tainted := false
	f.Func("taint", "`key=value:effect` taint of a new node; may be given again; empty: none (default "+defaultTaint+")", func(s string) error {
		tainted = true
		return c.taint(s)
	})
	f.Func("cpu", "`cores` of the node; what cis tells by default", func(s string) (err error) { c.cpu, err = api.ParseCPU(s); return err })
	f.Func("memory", "`bytes` of the node; what cis tells by default", func(s string) (err error) { c.memory, err = api.ParseBytes(s); return err })
	f.Func("ephemeral-storage", "`bytes` of the node for what is not on disks; what cis tells by default", func(s string) (err error) { c.storage, err = api.ParseBytes(s); return err })
	f.Int64Var(&c.pods, "pods", 1000, "most pods of the node")
	eviction := f.String("eviction-hard", pressure.Default, "`SIGNAL<QUANTITY,…`: what has to be left of the host's memory and disk, else pods are evicted; empty: they never are")
	f.DurationVar(&c.transition, "eviction-pressure-transition-period", 5*time.Minute, "for how long the node tells of a shortage that has passed")
	soft := f.String("eviction-soft", "", "`SIGNAL<QUANTITY,…`: what pods are evicted for when it has been missing for a while")
	softGrace := f.String("eviction-soft-grace-period", "", "`SIGNAL=DURATION,…`: that while, for each signal of -eviction-soft")
	maxGrace := f.Int("eviction-max-pod-grace-period", 0, "most `seconds` that pods have to end which are evicted by -eviction-soft")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	hard, err := pressure.Parse(*eviction)
	if err != nil {
		return nil, fmt.Errorf("-eviction-hard: %w", err)
	}
	later, err := pressure.ParseSoft(*soft, *softGrace)
	if err != nil {
		return nil, fmt.Errorf("-eviction-soft, -eviction-soft-grace-period: %w", err)
	}
	if *maxGrace < 0 {
		return nil, fmt.Errorf("-eviction-max-pod-grace-period must be 0 or more, not %d", *maxGrace)
	}
	c.thresholds, c.evictionGrace = append(hard, later...), time.Duration(*maxGrace)*time.Second
	if !tainted {
		if err := c.taint(defaultTaint); err != nil {
			return nil, err
		}
	}
	return c, c.check()
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (c *config) taint(s string) error {
	if s == "" {
		return nil
	}
	rest, effect, ok := strings.Cut(s, ":")
	key, value, _ := strings.Cut(rest, "=")
	switch t := corev1.TaintEffect(effect); t {
	case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		if ok && key != "" {
			c.taints = append(c.taints, corev1.Taint{Key: key, Value: value, Effect: t})
			return nil
		}
	}
	return fmt.Errorf("must be key=value:effect, with the effect NoSchedule, PreferNoSchedule or NoExecute")
}

func (c *config) check() error {
	if (c.join.Kubeconfig == "") == (c.join.Bootstrap == "") {
		return fmt.Errorf("give one of -kubeconfig and -bootstrap-kubeconfig")
	}
	if (c.tlsCert == "") != (c.tlsKey == "") {
		return fmt.Errorf("-tls-cert and -tls-key go together")
	}
	if c.nodeIP != "" && net.ParseIP(c.nodeIP) == nil {
		return fmt.Errorf("-node-ip must be an IP address")
	}
	return nil
}

// client of cisd.
func (c *config) client() (*client.Client, error) {
	o := c.cis
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read -cis-token-file: %w", err)
		}
		o.Token = strings.TrimSpace(string(token))
	}
	return client.New(o)
}

// address is that of the node, for the API server.
func (c *config) address(ctx context.Context, server string) (string, error) {
	if c.nodeIP != "" {
		return c.nodeIP, nil
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("the API server's address: %w", err)
	}
	port := first(u.Port(), "443")
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("find the node's own address, which -node-ip would tell: %w", err)
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

// tls of the node's server.
func (c *config) tls(ctx context.Context, kube kubernetes.Interface, ip string) (*tls.Config, *x509.CertPool, error) {
	// Who calls may have a token instead, so certificates are asked for and checked later.
	config := &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	if c.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey)
		if err != nil {
			return nil, nil, fmt.Errorf("read the server's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	} else {
		get, err := join.Serving(ctx, c.join, kube, []net.IP{net.ParseIP(ip)})
		if err != nil {
			return nil, nil, err
		}
		config.GetCertificate = get
	}
	if c.clientCA == "" {
		return config, nil, nil
	}
	pem, err := os.ReadFile(c.clientCA)
	if err != nil {
		return nil, nil, fmt.Errorf("read -client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("-client-ca %s has no certificate in PEM", c.clientCA)
	}
	return config, pool, nil
}
