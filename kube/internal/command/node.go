package command

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cis/kube/internal/netns"
	"cis/kube/internal/plane"
)

// The programs that are beside cis-kube, where a build and an installation put them.
const (
	kubeletProgram = "cis-kubelet"
	corednsProgram = "cis-coredns"
)

// nodePort is where kubelets listen.
const nodePort = 10250

// nodeFlags are the settings of the node on this host, and of what serves nodes.
type nodeFlags struct {
	node, services       bool
	metrics              bool
	name, address, netns string
}

func (f *nodeFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.node, "node", true, "start a node on this host, whose pods are instances of its cisd")
	flags.BoolVar(&f.services, "services", true, "serve Services and the cluster's DNS to the node's pods; needs root")
	flags.BoolVar(&f.metrics, "metrics", true, "run metrics-server, for kubectl top and autoscaling")
	flags.StringVar(&f.name, "node-name", "", "`NAME` of the node (default this host's)")
	flags.StringVar(&f.address, "node-address", "", "`ADDRESS[:PORT]` at which the API server reaches the node; port 0 is a free one (default this host's own, port 10250)")
	flags.StringVar(&f.netns, "vpc-netns", "cis-vpc-default", "`NAME` of the network namespace of the VPC that pods are in")
}

func (a *app) configNode(f *nodeFlags, c *plane.Config) (err error) {
	if !f.node {
		return nil
	}
	if c.Node.Address, err = nodeAddress(f.address); err != nil {
		return err
	}
	if c.Node.Name = f.name; c.Node.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		c.Node.Name = strings.ToLower(host)
	}
	c.Node.Kubelet = beside(c.Program, kubeletProgram)
	if !f.services {
		return nil
	}
	if f.netns == "" || strings.ContainsAny(f.netns, "/ \n") {
		return &plane.FieldError{Field: "vpc-netns", Message: fmt.Sprintf("%q is not a name in /run/netns", f.netns)}
	}
	c.Services = plane.Services{Netns: netns.Namespace(f.netns), CoreDNS: beside(c.Program, corednsProgram)}
	return nil
}

// configMetrics puts metrics-server where the node serves, else at this host's own address,
// if it has one that others could reach.
func configMetrics(f *nodeFlags, c *plane.Config) {
	switch {
	case !f.metrics:
	case f.node:
		c.Metrics = c.Node.Address.Addr()
	default:
		c.Metrics = plane.NodeAddress()
	}
}

func nodeAddress(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPortFrom(plane.NodeAddress(), nodePort), nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr, nodePort), nil
	}
	both, err := netip.ParseAddrPort(text)
	if err != nil {
		return both, &plane.FieldError{Field: "node-address", Message: fmt.Sprintf("%q is neither ADDRESS nor ADDRESS:PORT", text)}
	}
	return both, nil
}

func beside(own, name string) string { return filepath.Join(filepath.Dir(own), name) }
