package plane

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"cis/kube/internal/pki"
	"cis/kube/internal/supervise"
)

// The programs of a node, which are not in cis-kube, but for kube-proxy and the relay.
const (
	Kubelet   = "cis-kubelet"
	Relay     = "relay"
	KubeProxy = "kube-proxy"
	CoreDNS   = "cis-coredns"
)

// allPrograms are those that may run, in their order of start.
func allPrograms() []string {
	return append(append([]string{}, programs...), Kubelet, Relay, KubeProxy, CoreDNS, MetricsServer)
}

// nodePatience is how long a start waits for the node; it is no failure if it takes
// longer, since cisd may be started later.
const nodePatience = 45 * time.Second

// Node is a node on this host, whose pods are instances of its cisd.
type Node struct {
	// Kubelet is the path of cis-kubelet; "": there is no node.
	Kubelet string
	// Name in the cluster.
	Name string
	// Address is where the API server reaches the node; port 0 is a free one.
	Address netip.AddrPort
}

func (c *Config) validateNode() error {
	n, a := c.Node, c.Node.Address.Addr()
	switch {
	case n.Kubelet == "" && c.Services.served():
		return fieldErrorf("services", "are for the pods of this host's node, which there is not")
	case n.Kubelet == "":
		return nil
	case !dnsName.MatchString(n.Name):
		return fieldErrorf("node-name", "%q is not a DNS name in lower case", n.Name)
	case !a.IsValid():
		return fieldErrorf("node-address", "this host has no address but loopback, which the API server does not take for a node")
	case a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast():
		return fieldErrorf("node-address", "the API server does not reach a node at %s: it may not be unspecified, loopback, link-local or multicast", a)
	}
	if err := built(n.Kubelet, "node"); err != nil || !c.Services.served() {
		return err
	}
	if !c.ServiceCIDR.Addr().Is4() {
		return fieldErrorf("services", "have IPv4 addresses: give such a --service-cidr, or --services=false")
	}
	if os.Geteuid() != 0 {
		return fieldErrorf("services", "only root enters the network of pods: run it as root, or give --services=false")
	}
	return built(c.Services.CoreDNS, "services")
}

// built tells whether there is a program that a flag needs.
func built(path, flag string) error {
	if _, err := exec.LookPath(path); err != nil {
		return fieldErrorf(flag, "%v: build it with make kube, or give --%s=false", err, flag)
	}
	return nil
}

func (p *Plane) nodeStages() [][]supervise.Process {
	if p.Node.Kubelet == "" {
		return nil
	}
	stages := [][]supervise.Process{{p.process(Kubelet, p.kubelet)}}
	if p.Services.served() {
		stages = append(stages, p.servicesStages()...)
	}
	return stages
}

// startNode starts the node's programs, and waits for them, but not for ever.
func (p *Plane) startNode(ctx context.Context) {
	if p.Node.Kubelet == "" {
		return
	}
	began := time.Now()
	result := p.node.Launch()
	late := func(err error) {
		p.Log("node "+p.Node.Name+" is not ready yet, and tried again", err)
	}
	select {
	case err := <-result:
		if err != nil {
			late(p.explain(err, 1))
			return
		}
		p.observer.Say(fmt.Sprintf("node %s ready after %.1f s", p.Node.Name, time.Since(began).Seconds()))
	case <-time.After(nodePatience):
		late(fmt.Errorf("it takes more than %s", nodePatience))
	case <-ctx.Done():
	}
}

func (p *Plane) kubelet() (supervise.Run, error) {
	address := p.Node.Address
	if address.Port() == 0 {
		port, err := freePort(address.Addr())
		if err != nil {
			return supervise.Run{}, err
		}
		address = netip.AddrPortFrom(address.Addr(), uint16(port))
	}
	file := func(name string) string { return p.path(pkiDir, name) }
	args := []string{
		"-kubeconfig", file(pki.KubeletConfig),
		"-node-name", p.Node.Name,
		"-node-ip", address.Addr().String(),
		"-listen", address.String(),
		"-tls-cert", file(pki.Kubelet + ".crt"),
		"-tls-key", file(pki.Kubelet + ".key"),
		"-client-ca", file(pki.CA + ".crt"),
		// The cluster may have no other node.
		"-taint", "",
	}
	if p.Services.served() {
		args = append(args, "-cluster-dns", p.DNSIP().String(), "-service-cidr", p.ServiceCIDR.String())
	}
	client, err := p.kubeletClient()
	url := "https://" + address.String()
	return supervise.Run{Path: p.Node.Kubelet, Address: url, Args: args, Ready: healthy(client, url+"/healthz")}, err
}

// kubeletClient is who the API server is to nodes.
func (p *Plane) kubeletClient() (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(p.path(pkiDir, pki.KubeletClient+".crt"), p.path(pkiDir, pki.KubeletClient+".key"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate for nodes: %w", err)
	}
	client := p.httpsClient()
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{cert}
	return client, nil
}

// NodeAddress is the address at which the API server would reach a node on this host: the
// zero value if there is none but loopback.
func NodeAddress() netip.Addr {
	if own := hostAddress(); own.IsValid() && !own.IsLinkLocalUnicast() {
		return own
	}
	return netip.Addr{}
}
