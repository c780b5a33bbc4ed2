package pki

import (
	"cmp"
	"net"
	"slices"
)

// serverNames are how pods call the API server, in any cluster.
var serverNames = []string{
	"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
}

// metricsName is what the API server calls metrics-server, by its Service.
const metricsName = "metrics-server.kube-system.svc"

var loopback = net.IPv4(127, 0, 0, 1)

// wantedPair is a certificate with its key, and who signs it.
type wantedPair struct {
	by   *authority
	file string
	leaf leaf
}

func wantedPairs(c Config, ca, front *authority) []wantedPair {
	all := []wantedPair{
		{ca, APIServer, apiServerLeaf(c)},
		{ca, KubeletClient, leaf{name: KubeletClientUser}},
		{ca, ControllerManager, localServer("kube-controller-manager")},
		{ca, Scheduler, localServer("kube-scheduler")},
		{front, FrontProxyClient, leaf{name: FrontProxyClient}},
	}
	if c.Node != "" {
		serving := nodeLeaf(c.Node)
		serving.server, serving.names, serving.ips = true, []string{c.Node}, []net.IP{c.NodeIP}
		all = append(all, wantedPair{ca, Kubelet, serving})
	}
	if c.MetricsIP != nil {
		serving := leaf{name: MetricsServer, server: true, names: []string{metricsName}, ips: []net.IP{c.MetricsIP}}
		all = append(all, wantedPair{ca, MetricsServer, serving})
	}
	return all
}

// wantedKubeconfig is a client of a server.
type wantedKubeconfig struct {
	file, server string
	leaf         leaf
}

func wantedKubeconfigs(c Config) []wantedKubeconfig {
	forPods := cmp.Or(c.PodServer, c.Server)
	all := []wantedKubeconfig{
		{AdminConfig, c.Server, leaf{name: "kubernetes-admin", groups: []string{"system:masters"}}},
		{ControllerManagerConfig, c.Server, leaf{name: "system:kube-controller-manager"}},
		{SchedulerConfig, c.Server, leaf{name: "system:kube-scheduler"}},
		{KubeProxyConfig, forPods, leaf{name: "system:kube-proxy"}},
		{CoreDNSConfig, forPods, leaf{name: CoreDNSUser}},
	}
	if c.Node != "" {
		all = append(all, wantedKubeconfig{KubeletConfig, c.Server, nodeLeaf(c.Node)})
	}
	if c.MetricsIP != nil {
		all = append(all, wantedKubeconfig{MetricsServerConfig, c.Server, leaf{name: MetricsServerUser}})
	}
	return all
}

// nodeLeaf is who a node is, to the API server and to its clients.
func nodeLeaf(name string) leaf {
	return leaf{name: "system:node:" + name, groups: []string{"system:nodes"}}
}

func apiServerLeaf(c Config) leaf {
	l := leaf{name: "kube-apiserver", server: true, names: serverNames, ips: []net.IP{loopback, net.IPv6loopback}}
	l.names = distinct(append(slices.Clone(l.names), c.Names...), func(s string) string { return s })
	l.ips = distinct(append(l.ips, c.IPs...), net.IP.String)
	return l
}

// distinct keeps the first of those with the same text.
func distinct[T any](all []T, text func(T) string) (kept []T) {
	seen := map[string]bool{}
	for _, v := range all {
		if !seen[text(v)] {
			seen[text(v)] = true
			kept = append(kept, v)
		}
	}
	return kept
}

func localServer(name string) leaf {
	return leaf{name: name, server: true, names: []string{"localhost"}, ips: []net.IP{loopback}}
}
