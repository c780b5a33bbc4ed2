package plane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"cis/kube/internal/durable"
	"cis/kube/internal/netns"
	"cis/kube/internal/pki"
	"cis/kube/internal/supervise"
)

// Services are what makes a cluster's Services be there for pods. All of it runs in the
// network namespace of the pods' VPC, and ends with that:
//
//	kube-proxy   translates the addresses of Services to those of pods
//	CoreDNS      the cluster's DNS
//	relay        leads to the API server, since pods do not reach the host
//
// The VPC has an address for such programs, which nobody outside of it can have.
type Services struct {
	// Netns is the name of the namespace; "": there are no Services for pods.
	Netns netns.Namespace
	// CoreDNS is the path of cis-coredns.
	CoreDNS string
}

func (s Services) served() bool { return s.Netns != "" }

// servicesAddress is the one that each VPC of cis has for programs that serve its
// instances, which docs/networking.md tells of.
var servicesAddress = netip.AddrFrom4([4]byte{198, 18, 0, 1})

var (
	relayAddress = netip.AddrPortFrom(servicesAddress, 443)
	// DNSAddress is where the cluster's DNS listens.
	DNSAddress = netip.AddrPortFrom(servicesAddress, 53)
)

// Where programs in the namespace tell their health: its loopback is nobody else's.
const (
	proxyHealth    = "127.0.0.1:10256"
	proxyMetrics   = "127.0.0.1:10249"
	coreDNSHealth  = "127.0.0.1:10253"
	coreDNSMetrics = "127.0.0.1:9153"
)

// vpcResolver is the VPC's own name server, which knows what the cluster does not.
const vpcResolver = "169.254.1.1"

// clusterDomain is where Services have their names.
const clusterDomain = "cluster.local"

// podServer is the API server for what runs where the pods are; "" if it is not reached.
func (c *Config) podServer() string {
	if e := c.Endpoint(); e.IsValid() && c.Services.served() {
		return serverURL(e.Addr(), e.Port())
	}
	return ""
}

// prepareServices notes where the programs will leave rules.
func (p *Plane) prepareServices() error {
	if err := cleanServices(p.DataDir); err != nil || !p.Services.served() {
		return err
	}
	return errors.Join(
		durable.WriteFile(p.path(servicesFile), []byte(p.Services.Netns+"\n")),
		durable.WriteFile(p.path(corefile), p.corefile()),
	)
}

func (p *Plane) servicesStages() [][]supervise.Process {
	stage := []supervise.Process{p.process(KubeProxy, p.kubeProxy), p.process(CoreDNS, p.coreDNS)}
	if p.Endpoint() != relayAddress {
		return [][]supervise.Process{stage}
	}
	return [][]supervise.Process{{p.process(Relay, p.relay)}, stage}
}

// inside completes the run of a program in the namespace, which serves its health there.
func (p *Plane) inside(path, health, ask string, args ...string) (supervise.Run, error) {
	n := p.Services.Netns
	id, err := n.ID()
	if err != nil {
		return supervise.Run{}, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: n.Dial}}
	return supervise.Run{
		Path: p.Program, Args: append([]string{"inside", string(n), path}, args...), Address: "http://" + health,
		Ready: healthy(client, "http://"+health+ask),
		Gone:  func(ctx context.Context) error { return n.Gone(ctx, id) },
	}, nil
}

func (p *Plane) kubeProxy() (supervise.Run, error) {
	if _, err := exec.LookPath("nft"); err != nil {
		return supervise.Run{}, fmt.Errorf("kube-proxy needs the program nft, of the package nftables: %w", err)
	}
	return p.inside(p.Program, proxyHealth, "/healthz", KubeProxy,
		"--kubeconfig="+p.path(pkiDir, pki.KubeProxyConfig),
		"--proxy-mode=nftables",
		"--hostname-override="+p.Node.Name,
		// Node ports come to the VPC's end of its uplink, which is link-local.
		"--nodeport-addresses=169.254.0.0/16",
		"--healthz-bind-address="+proxyHealth,
		"--metrics-bind-address="+proxyMetrics,
		// These are settings of the host, or of cis.
		"--conntrack-max-per-core=0",
		"--conntrack-tcp-timeout-established=0",
		"--conntrack-tcp-timeout-close-wait=0",
	)
}

func (p *Plane) coreDNS() (supervise.Run, error) {
	return p.inside(p.Services.CoreDNS, coreDNSHealth, "/ready", "-conf", p.path(corefile))
}

// corefile gives names as every cluster does; what it does not know the VPC does.
func (p *Plane) corefile() []byte {
	return fmt.Appendf(nil, `. {
	bind %s
	errors
	ready %s
	prometheus %s
	kubernetes %s in-addr.arpa ip6.arpa {
		kubeconfig %s
		pods insecure
		fallthrough in-addr.arpa ip6.arpa
		ttl 5
	}
	cache 5
	loadbalance
	forward . %s
}
`, servicesAddress, coreDNSHealth, coreDNSMetrics, clusterDomain, p.path(pkiDir, pki.CoreDNSConfig), vpcResolver)
}

// relay listens in the namespace, and connects from the host.
func (p *Plane) relay() (supervise.Run, error) {
	n := p.Services.Netns
	id, err := n.ID()
	if err != nil {
		return supervise.Run{}, err
	}
	to := netip.AddrPortFrom(p.Listen.Addr(), p.Listen.Port())
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(loopback, to.Port())
	}
	client := p.httpsClient()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return n.Dial(ctx, "tcp", relayAddress.String())
	}
	return supervise.Run{
		Path: p.Program, Args: []string{Relay, string(n), relayAddress.String(), to.String()}, Address: "tcp://" + relayAddress.String(),
		Ready: healthy(client, p.podServer()+"/readyz"),
		Gone:  func(ctx context.Context) error { return n.Gone(ctx, id) },
	}, nil
}

// cleanPatience is for a program that does two requests to the kernel.
const cleanPatience = 10 * time.Second

// cleanServices takes back the rules that kube-proxy has left in the namespace, after a
// crash too. Once the namespace is gone there are none.
func cleanServices(dataDir string) error {
	c := Config{DataDir: dataDir}
	name, err := os.ReadFile(c.path(servicesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n := netns.Namespace(strings.TrimSpace(string(name)))
	if _, err := n.ID(); err == nil {
		if err := n.Do(removeProxyTables); err != nil {
			return fmt.Errorf("remove kube-proxy's rules from %s: %w", n, err)
		}
	}
	return os.Remove(c.path(servicesFile))
}

// removeProxyTables removes the tables of the calling thread's namespace. They are added
// first, because what is not there cannot be deleted.
func removeProxyTables() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanPatience)
	defer cancel()
	nft := exec.CommandContext(ctx, "nft", "-f", "-")
	var script strings.Builder
	for _, family := range []string{"ip", "ip6"} {
		fmt.Fprintf(&script, "add table %s kube-proxy\ndelete table %s kube-proxy\n", family, family)
	}
	nft.Stdin = strings.NewReader(script.String())
	out, err := nft.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		// Then kube-proxy has made none.
		return nil
	}
	if err != nil {
		return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
