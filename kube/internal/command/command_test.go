package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cis/kube/internal/home"
	"cis/kube/internal/pki"
	"cis/kube/internal/plane"
	"cis/kube/internal/supervise"
)

// call runs a command line in a world of its own.
func call(t *testing.T, dir string, args ...string) (out, err string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Main(Env{
		Args: args, Out: &stdout, Err: &stderr, Version: "v1.37.2",
		Getenv: func(name string) string { return map[string]string{home.Env: dir}[name] },
	})
	return stdout.String(), stderr.String(), code
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		want string // in what is printed
	}{
		{"", 0, "control plane"},
		{"version", 0, "v1.37.2"},
		{"up --listen 6443", exitUsage, "--listen"},
		{"up --listen localhost:6443", exitUsage, "--listen"},
		{"up --advertise-address 127.0.0.1", exitUsage, "--advertise-address"},
		{"up --advertise-address host", exitUsage, "--advertise-address"},
		{"up --service-cidr 10.96.0.0", exitUsage, "--service-cidr"},
		{"up --etcd host:2379", exitUsage, "--etcd"},
		{"up --extra kubelet=--v=2", exitUsage, "--extra"},
		{"up --extra kube-scheduler", exitUsage, ""},
		{"up --nonsense", exitUsage, "--nonsense"},
		{"up --node-address host", exitUsage, "--node-address"},
		{"up --node-address 127.0.0.1", exitUsage, "--node-address"},
		{"up --node-address 192.0.2.1", exitUsage, "make kube"}, // the test has no cis-kubelet beside it
		{"up --vpc-netns a/b", exitUsage, "--vpc-netns"},
		{"up more", exitUsage, "more"},
		{"nonsense", exitUsage, "nonsense"},
		{"token --ttl 1s", exitUsage, "--ttl"},
		{"token --ttl soon", exitUsage, "--ttl"},
		{"token", exitNotRunning, "no control plane runs"},
		{"status", exitNotRunning, "no control plane runs"},
		{"down", exitNotRunning, "no control plane runs"},
		{"kubeconfig", exitFailure, "no cluster yet"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		out, err, code := call(t, dir, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out+err, test.want) {
			t.Errorf("%s: exit code %d, %s%s", test.args, code, out, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s has made the data directory", test.args)
		}
	}
}

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	path := home.PKI(dir, pki.AdminConfig)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("kind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, dir, "kubeconfig"); code != 0 || out != "kind: Config\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
}

func TestProgram(t *testing.T) {
	for name, want := range map[string]bool{"etcd": true, "metrics-server": true, "up": false, "kubectl": false} {
		if got, ok := (Env{Args: []string{name, "--help"}}).Program(); ok != want || ok && got != name {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	err := printStatus(&out, &plane.Status{
		State: plane.Ready, Version: "v1.37.2", Server: "https://127.0.0.1:6443", NodeServer: "https://192.0.2.1:6443",
		Endpoint: "192.0.2.1:6443", ServiceCIDR: "10.96.0.0/16", Node: "h1",
		Certificates: []pki.Expiry{{File: "admin.conf", Time: now}},
		Programs: []plane.Program{{Status: supervise.Status{
			Name: "etcd", State: supervise.Ready, PID: 7, Since: now.Add(-time.Minute), Restarts: 1, LastEnd: "ended: signal: killed",
		}, RSS: 64 << 20}, {Status: supervise.Status{Name: "relay", State: supervise.Stopped}}},
	}, now)
	want := `State:         ready
Version:       v1.37.2
Server:        https://127.0.0.1:6443
For nodes:     https://192.0.2.1:6443
For pods:      192.0.2.1:6443
Services:      10.96.0.0/16
Node:          h1
Certificates:  the first, admin.conf, ends on 2026-01-01 and is renewed before

PROGRAM  STATE    FOR   PID  MEMORY  RESTARTS  LAST END
etcd     ready    1m0s  7    64 MiB  1         ended: signal: killed
relay    stopped  -     0    0 MiB   0         
`
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}
