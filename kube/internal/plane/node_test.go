package plane

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"cis/kube/internal/netns"
	"cis/kube/internal/supervise"
)

// withNode is a test's control plane with a node.
func withNode(t *testing.T) Config {
	t.Helper()
	c := testConfig(t)
	c.Node = Node{Kubelet: os.Args[0], Name: "n1", Address: netip.AddrPortFrom(NodeAddress(), 0)}
	return c
}

// TestNode: it starts after the control plane, and stops before.
func TestNode(t *testing.T) {
	c := withNode(t)
	end := start(t, c)
	s, err := AwaitReady(t.Context(), c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	if last := s.Programs[len(s.Programs)-1]; s.Node != "n1" || last.Name != Kubelet || last.State != supervise.Ready {
		t.Errorf("status %+v", s)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if j := journal(t, c); len(j) != 10 || !slices.Equal(j[4:6], []string{"+" + Kubelet, "-" + Kubelet}) {
		t.Errorf("order %v", j)
	}
}

// TestNodeThatDoesNotStart keeps no control plane from its work, and is tried again.
func TestNodeThatDoesNotStart(t *testing.T) {
	c := withNode(t)
	c.Extra = map[string][]string{Kubelet: {"--fail", "--no cisd"}}
	var said []string
	ctx, cancel := context.WithCancel(t.Context())
	o := Observer{Say: func(text string) { said = append(said, text) }, Ready: func() error { cancel(); return nil }}
	if err := Run(ctx, c, objects{}, o); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(said, "\n"); !strings.Contains(text, "node n1 is not ready yet") || !strings.Contains(text, "no cisd") {
		t.Errorf("it said %s", text)
	}
}

func TestEndpointWithServices(t *testing.T) {
	c := withNode(t)
	c.Services = Services{Netns: netns.Namespace("x"), CoreDNS: os.Args[0]}
	if e := c.Endpoint(); e.String() != "198.18.0.1:443" || c.podServer() != "https://198.18.0.1:443" {
		t.Errorf("pods find it at %s, %s", e, c.podServer())
	}
	c.Advertise = netip.MustParseAddrPort("192.0.2.1:6443")
	if c.podServer() != "https://192.0.2.1:6443" {
		t.Errorf("pods find it at %s", c.podServer())
	}
}

func TestValidateNode(t *testing.T) {
	for _, test := range []struct {
		field  string // none: it is good
		change func(*Config)
	}{
		{"", func(*Config) {}},
		{"node", func(c *Config) { c.Node.Kubelet = "/nowhere/cis-kubelet" }},
		{"node-name", func(c *Config) { c.Node.Name = "N 1" }},
		{"node-address", func(c *Config) { c.Node.Address = netip.MustParseAddrPort("127.0.0.1:10250") }},
		{"", func(c *Config) { c.Metrics = c.Node.Address.Addr() }},
		{"metrics", func(c *Config) { c.Metrics = netip.MustParseAddr("127.0.0.1") }},
		{"services", func(c *Config) { c.Services = Services{Netns: "x", CoreDNS: "/nowhere/cis-coredns"} }},
		{"services", func(c *Config) {
			c.Services, c.ServiceCIDR = Services{Netns: "x", CoreDNS: os.Args[0]}, netip.MustParsePrefix("fd00:96::/112")
		}},
	} {
		c := withNode(t)
		test.change(&c)
		err := c.Validate()
		if f, ok := err.(*FieldError); test.field == "" && err != nil || test.field != "" && (!ok || f.Field != test.field) {
			t.Errorf("%q: %v", test.field, err)
		}
	}
}
