package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func config(t *testing.T) Config {
	return Config{
		Dir: filepath.Join(t.TempDir(), "pki"), Server: "https://127.0.0.1:6443",
		PodServer: "https://198.18.0.1:443", Node: "host", NodeIP: net.IPv4(192, 0, 2, 7), MetricsIP: net.IPv4(192, 0, 2, 7),
		Names: []string{"host"}, IPs: []net.IP{net.IPv4(10, 96, 0, 1), net.IPv4(192, 0, 2, 7)},
	}
}

func ensure(t *testing.T, c Config) *Result {
	t.Helper()
	r, err := Ensure(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func TestEnsureKeepsWhatIsGood(t *testing.T) {
	c := config(t)
	first := ensure(t, c)
	before := contents(t, c.Dir)
	if len(first.Renewed) != len(first.Expires) || len(before) < len(first.Renewed) {
		t.Errorf("renewed %v of %v", first.Renewed, first.Expires)
	}
	if again := ensure(t, c); len(again.Renewed) != 0 || !again.Renewal.Equal(first.Renewal) {
		t.Errorf("the second time: %+v", again)
	}
	for name, text := range contents(t, c.Dir) {
		if before[name] != text {
			t.Errorf("%s has changed", name)
		}
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	c := config(t)
	ensure(t, c)
	err := filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestHandshake: the API server's certificate serves under all its names, and clients'
// certificates are who they should be.
func TestHandshake(t *testing.T) {
	c := config(t)
	ensure(t, c)
	server, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, "apiserver.crt"), filepath.Join(c.Dir, "apiserver.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(c.Dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(ca)
	for _, name := range append([]string{"127.0.0.1", "::1", "10.96.0.1", "192.0.2.7", "host"}, serverNames...) {
		if _, err := server.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	node, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, "kubelet.crt"), filepath.Join(c.Dir, "kubelet.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Leaf.Verify(x509.VerifyOptions{DNSName: "192.0.2.7", Roots: roots}); err != nil {
		t.Errorf("the node: %v", err)
	}
	metrics, err := tls.LoadX509KeyPair(filepath.Join(c.Dir, "metrics-server.crt"), filepath.Join(c.Dir, "metrics-server.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.Leaf.Verify(x509.VerifyOptions{DNSName: "metrics-server.kube-system.svc", Roots: roots}); err != nil {
		t.Errorf("metrics-server: %v", err)
	}
	for file, subject := range map[string]string{
		AdminConfig:             "CN=kubernetes-admin,O=system:masters",
		ControllerManagerConfig: "CN=system:kube-controller-manager",
		SchedulerConfig:         "CN=system:kube-scheduler",
		KubeProxyConfig:         "CN=system:kube-proxy",
		CoreDNSConfig:           "CN=cis:coredns",
		KubeletConfig:           "CN=system:node:host,O=system:nodes",
		MetricsServerConfig:     "CN=cis:metrics-server",
	} {
		data, err := os.ReadFile(filepath.Join(c.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		var k kubeconfig
		if err := yaml.UnmarshalStrict(data, &k); err != nil {
			t.Fatal(err)
		}
		want := c.Server
		if file == KubeProxyConfig || file == CoreDNSConfig {
			want = c.PodServer
		}
		if k.Clusters[0].Cluster.Server != want || !bytes.Equal(k.Clusters[0].Cluster.CA, ca) {
			t.Errorf("%s is for %+v", file, k.Clusters)
		}
		client, err := tls.X509KeyPair(k.Users[0].User.Cert, k.Users[0].User.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got := client.Leaf.Subject.String(); got != subject {
			t.Errorf("%s is of %s, want %s", file, got, subject)
		}
		if _, err := client.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestGoesOnFromAnywhere removes, halves and empties each file in turn: what a crash or
// a bad disk may leave. Authorities' keys are never replaced, and never guessed.
func TestGoesOnFromAnywhere(t *testing.T) {
	c := config(t)
	ensure(t, c)
	whole := contents(t, c.Dir)
	for name := range whole {
		for _, damage := range []string{"", "half", "gone"} {
			path := filepath.Join(c.Dir, name)
			var err error
			switch damage {
			case "gone":
				err = os.Remove(path)
			case "half":
				err = os.WriteFile(path, []byte(whole[name][:len(whole[name])/2]), 0o600)
			default:
				err = os.WriteFile(path, nil, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = Ensure(c)
			irreplaceable := slices.Contains([]string{"ca.key", "front-proxy-ca.key"}, name) ||
				damage != "gone" && slices.Contains([]string{"ca.crt", "front-proxy-ca.crt", "sa.key"}, name)
			if irreplaceable {
				if err == nil || !strings.Contains(err.Error(), strings.SplitN(name, ".", 2)[0]) {
					t.Errorf("%s %s: error %v", name, damage, err)
				}
				now := contents(t, c.Dir)
				delete(now, name)
				for other, text := range now {
					if whole[other] != text {
						t.Errorf("%s %s changed %s", name, damage, other)
					}
				}
			} else if err != nil {
				t.Errorf("%s %s: %v", name, damage, err)
			}
			for name, text := range whole {
				if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestUnfinishedFilesAreSwept(t *testing.T) {
	c := config(t)
	ensure(t, c)
	left := filepath.Join(c.Dir, ".new-1")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ensure(t, c)
	if _, err := os.Stat(left); err == nil {
		t.Error("an unfinished file is still there")
	}
}

func TestRenewal(t *testing.T) {
	c := config(t)
	first := ensure(t, c)
	c.Now = func() time.Time { return first.Renewal.Add(-time.Minute) }
	if r := ensure(t, c); len(r.Renewed) != 0 {
		t.Errorf("renewed too early: %v", r.Renewed)
	}
	before := contents(t, c.Dir)
	c.Now = func() time.Time { return first.Renewal.Add(time.Minute) }
	if r := ensure(t, c); len(r.Renewed) != len(r.Expires)-2 || !r.Renewal.After(first.Renewal) {
		t.Errorf("renewed %v of %v, the next on %v", r.Renewed, r.Expires, r.Renewal)
	}
	// An authority gets a new certificate of the same key, under which the old ones are good.
	c.Now = func() time.Time { return time.Now().Add(authorityLife - 24*time.Hour) }
	if r := ensure(t, c); len(r.Renewed) != len(r.Expires) {
		t.Errorf("renewed %v of %v", r.Renewed, r.Expires)
	}
	after := contents(t, c.Dir)
	if after["ca.key"] != before["ca.key"] || after["sa.key"] != before["sa.key"] || after["ca.crt"] == before["ca.crt"] {
		t.Error("an authority's key has changed, or its certificate has not")
	}
}

func TestNewAddresses(t *testing.T) {
	c := config(t)
	ensure(t, c)
	c.IPs = append(c.IPs, net.IPv4(192, 0, 2, 8))
	if r := ensure(t, c); !slices.Equal(r.Renewed, []string{"apiserver.crt"}) {
		t.Errorf("renewed %v", r.Renewed)
	}
	c.Server = "https://127.0.0.1:7443"
	if r := ensure(t, c); !slices.Equal(r.Renewed, []string{AdminConfig, ControllerManagerConfig, SchedulerConfig, KubeletConfig, MetricsServerConfig}) {
		t.Errorf("renewed %v", r.Renewed)
	}
}
