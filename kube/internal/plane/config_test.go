package plane

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, field string // no field: it is good
		change      func(*Config)
	}{
		{"as it is", "", func(*Config) {}},
		{"IPv6", "", func(c *Config) {
			c.Listen, c.ServiceCIDR = netip.MustParseAddrPort("[::]:6443"), netip.MustParsePrefix("fd00:96::/112")
		}},
		{"everything", "", func(c *Config) {
			c.Advertise = netip.MustParseAddrPort("192.0.2.1:443")
			c.External = ExternalEtcd{URLs: []string{"https://a:2379", "https://[2001:db8::1]:2379"}, CA: file, Cert: file, Key: file}
			c.Names = []string{"kube.example.com", "192.0.2.2"}
			c.Extra = map[string][]string{APIServer: {"--v=2"}}
		}},
		{"relative", "data-dir", func(c *Config) { c.DataDir = "data" }},
		{"comma", "data-dir", func(c *Config) { c.DataDir = "/a,b" }},
		{"too long", "data-dir", func(c *Config) { c.DataDir = "/" + strings.Repeat("x", 100) }},
		{"no port", "listen", func(c *Config) { c.Listen = netip.MustParseAddrPort("127.0.0.1:0") }},
		{"no address", "listen", func(c *Config) { c.Listen = netip.AddrPort{} }},
		{"multicast", "listen", func(c *Config) { c.Listen = netip.MustParseAddrPort("224.0.0.1:1") }},
		{"loopback", "advertise-address", func(c *Config) { c.Advertise = netip.MustParseAddrPort("127.0.0.1:1") }},
		{"link-local", "advertise-address", func(c *Config) { c.Advertise = netip.MustParseAddrPort("169.254.0.1:1") }},
		{"unspecified", "advertise-address", func(c *Config) { c.Advertise = netip.MustParseAddrPort("0.0.0.0:1") }},
		{"no port", "advertise-address", func(c *Config) { c.Advertise = netip.MustParseAddrPort("192.0.2.1:0") }},
		{"a Service's", "advertise-address", func(c *Config) { c.Advertise = netip.MustParseAddrPort("10.96.0.9:1") }},
		{"none", "service-cidr", func(c *Config) { c.ServiceCIDR = netip.Prefix{} }},
		{"host bits", "service-cidr", func(c *Config) { c.ServiceCIDR = netip.MustParsePrefix("10.96.0.1/16") }},
		{"too large", "service-cidr", func(c *Config) { c.ServiceCIDR = netip.MustParsePrefix("10.0.0.0/8") }},
		{"too small", "service-cidr", func(c *Config) { c.ServiceCIDR = netip.MustParsePrefix("10.96.0.0/29") }},
		{"loopback", "service-cidr", func(c *Config) { c.ServiceCIDR = netip.MustParsePrefix("127.96.0.0/16") }},
		{"no scheme", "etcd", func(c *Config) { c.External.URLs = []string{"a:2379"} }},
		{"no port", "etcd", func(c *Config) { c.External.URLs = []string{"https://a"} }},
		{"path", "etcd", func(c *Config) { c.External.URLs = []string{"https://a:2379/b"} }},
		{"own etcd", "etcd-ca", func(c *Config) { c.External.CA = file }},
		{"missing file", "etcd-key", func(c *Config) {
			c.External = ExternalEtcd{URLs: []string{"https://a:2379"}, Cert: file, Key: file + "x"}
		}},
		{"no key", "etcd-cert", func(c *Config) { c.External = ExternalEtcd{URLs: []string{"https://a:2379"}, Cert: file} }},
		{"upper case", "name", func(c *Config) { c.Names = []string{"Kube"} }},
		{"unknown", "extra", func(c *Config) { c.Extra = map[string][]string{"kubelet": {"--v=2"}} }},
		{"no flag", "extra", func(c *Config) { c.Extra = map[string][]string{Etcd: {"v=2"}} }},
	} {
		c := planeConfig("/data", 6443)
		test.change(&c)
		err := c.Validate()
		var field *FieldError
		if errors.As(err, &field) != (test.field != "") || field != nil && field.Field != test.field {
			t.Errorf("%s of %q: %v", test.name, test.field, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	c := planeConfig("/data", 6443)
	if c.Endpoint().IsValid() {
		t.Errorf("a loopback address is an endpoint: %v", c.Endpoint())
	}
	if got := c.LocalServer(); got != "https://127.0.0.1:6443" {
		t.Errorf("local server %s", got)
	}
	c.Listen = netip.MustParseAddrPort("192.0.2.1:6443")
	if got := c.Endpoint().String(); got != "192.0.2.1:6443" {
		t.Errorf("endpoint %s", got)
	}
	if got := c.NodeServer(); got != "https://192.0.2.1:6443" {
		t.Errorf("node server %s", got)
	}
	c.Listen = netip.MustParseAddrPort("0.0.0.0:6443")
	if got := c.LocalServer(); got != "https://127.0.0.1:6443" {
		t.Errorf("local server %s", got)
	}
	if own := hostAddress(); own.IsValid() && c.Endpoint().Addr() != own {
		t.Errorf("endpoint %s on a host with %s", c.Endpoint(), own)
	}
	c.Advertise = netip.MustParseAddrPort("198.51.100.1:443")
	ips, _ := c.addresses()
	var all []string
	for _, ip := range ips {
		all = append(all, ip.String())
	}
	if !slices.Contains(all, "198.51.100.1") || !slices.Contains(all, "10.96.0.1") {
		t.Errorf("the certificate is for %v", all)
	}
	if got := c.DNSIP().String(); got != "10.96.0.10" {
		t.Errorf("address of DNS %s", got)
	}
}

func TestParseAdvertise(t *testing.T) {
	listen := netip.MustParseAddrPort("0.0.0.0:6443")
	for text, want := range map[string]string{
		"": "invalid AddrPort", "192.0.2.1": "192.0.2.1:6443", "192.0.2.1:443": "192.0.2.1:443", "2001:db8::1": "[2001:db8::1]:6443",
	} {
		if got, err := ParseAdvertise(text, listen); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := ParseAdvertise("host", listen); err == nil {
		t.Error("a name was taken")
	}
}

func TestUpgradable(t *testing.T) {
	for _, test := range []struct {
		from, to string
		ok       bool
	}{
		{"v1.37.2", "v1.37.2", true}, {"v1.37.2", "v1.37.0", true}, {"v1.37.2", "v1.38.1", true},
		{"v1.37.2", "v1.39.0", false}, {"v1.37.2", "v1.36.9", false}, {"v1.37.2", "v2.37.2", false}, {"", "v1.37.2", false},
	} {
		if err := upgradable(test.from, test.to); (err == nil) != test.ok {
			t.Errorf("from %s to %s: %v", test.from, test.to, err)
		}
	}
}

func TestServiceCIDRStays(t *testing.T) {
	c := planeConfig(t.TempDir(), 6443)
	if err := c.admit(); err != nil {
		t.Fatal(err)
	}
	if err := c.admit(); err != nil {
		t.Fatal(err)
	}
	c.ServiceCIDR = netip.MustParsePrefix("10.97.0.0/16")
	var field *FieldError
	if err := c.admit(); !errors.As(err, &field) || field.Field != "service-cidr" {
		t.Errorf("error %v", err)
	}
}
