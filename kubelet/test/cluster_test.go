package test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cis/test/stage"
)

// cluster is a control plane with one node.
type cluster struct {
	*testing.T
	stage   *stage.Stage
	dir     string
	node    string
	port    int // of the API server
	kubelet *exec.Cmd
}

// open starts a control plane, and the node by hand as one that joins any cluster.
func open(t *testing.T) *cluster {
	t.Helper()
	c := prepare(t)
	c.must("up", "--node=false", "--listen", fmt.Sprintf("127.0.0.1:%d", c.port),
		"--extra", fmt.Sprintf("kube-controller-manager=--cluster-signing-duration=%s", certificateLife),
		"--extra", "kube-apiserver=--feature-gates=ContainerStopSignals=true")
	c.kubectl("apply", "-f", "../deploy/rbac.yaml", "-f", "../deploy/disks.yaml")
	c.write("bootstrap.kubeconfig", c.must("token", "--kubeconfig"))
	c.startKubelet()
	c.kubectl("wait", "--for=create", "node/"+c.node, "--timeout=120s")
	c.kubectl("wait", "--for=condition=Ready", "node/"+c.node, "--timeout=120s")
	return c
}

// prepare starts cisd and a registry, and sees to the end of all that comes: what is left
// behind is a failure.
func prepare(t *testing.T) *cluster {
	t.Helper()
	kube := os.Getenv("CIS_KUBE")
	if kube == "" {
		t.Fatal("CIS_KUBE has to be the path of cis-kube: run scripts/test-kubelet")
	}
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	s, err := stage.Open(t.Context(), stage.Config{Bin: bin, Flags: []string{"-standby", "2", "-public-addresses", pool}})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, stage: s, dir: filepath.Join(s.Dir, "kube"), node: "n1", port: freePort(t)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("cis-kubelet said:\n%s", c.read("kubelet.log"))
			for _, name := range []string{"cis-kubelet", "relay", "kube-proxy", "cis-coredns", "metrics-server"} {
				t.Logf("%s said:\n%s", name, c.read("kube/logs/"+name+".log"))
			}
		}
		c.stopKubelet()
		c.kube("", "down")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func freePort(t *testing.T) int {
	port, err := stage.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func hostAddress(t *testing.T) string {
	address, err := stage.HostAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// startKubelet takes further flags.
func (c *cluster) startKubelet(flags ...string) {
	c.Helper()
	log, err := os.OpenFile(filepath.Join(c.stage.Dir, "kubelet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.Fatal(err)
	}
	defer log.Close()
	ip := hostAddress(c.T)
	flags = append([]string{"-bootstrap-kubeconfig", filepath.Join(c.stage.Dir, "bootstrap.kubeconfig"),
		"-cert-dir", filepath.Join(c.stage.Dir, "pki"), "-client-ca", filepath.Join(c.dir, "pki", "ca.crt"), "-cis-host", c.stage.Host,
		"-node-name", c.node, "-node-ip", ip, "-listen", net.JoinHostPort(ip, "0"), "-taint", ""}, flags...)
	c.kubelet = exec.Command(filepath.Join(c.stage.Bin, "cis-kubelet"), flags...)
	c.kubelet.Stdout, c.kubelet.Stderr = log, log
	if err := c.kubelet.Start(); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) stopKubelet() {
	if c.kubelet != nil {
		_ = c.kubelet.Process.Signal(syscall.SIGTERM)
		_ = c.kubelet.Wait()
		c.kubelet = nil
	}
}

func (c *cluster) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(c.stage.Dir, name))
	return string(data)
}

func (c *cluster) write(name, text string) {
	c.Helper()
	if err := os.WriteFile(filepath.Join(c.stage.Dir, name), []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv("CIS_KUBE"), args...)
	cmd.Env = append(os.Environ(), "CIS_KUBE_DATA_DIR="+c.dir, "CIS_HOST="+c.stage.Host)
	return cmd
}

// kube runs cis-kube and gives its output, both streams, and its exit code.
func (c *cluster) kube(input string, args ...string) (string, int) {
	c.Helper()
	cmd := c.command(args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		c.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (c *cluster) must(args ...string) string {
	c.Helper()
	out, code := c.kube("", args...)
	if code != 0 {
		c.Fatalf("cis-kube %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func (c *cluster) kubectl(args ...string) string {
	c.Helper()
	return strings.TrimSpace(c.must(append([]string{"kubectl"}, args...)...))
}

// apply creates objects; IMAGE stands for the busybox of the registry.
func (c *cluster) apply(objects string) {
	c.Helper()
	if out, code := c.kube(strings.ReplaceAll(objects, "IMAGE", c.stage.Image), "kubectl", "create", "-f", "-"); code != 0 {
		c.Fatal(out)
	}
}

// get is a field of an object, by jsonpath.
func (c *cluster) get(object, path string) string {
	c.Helper()
	return c.kubectl("get", object, "-o", "jsonpath={"+path+"}")
}

func (c *cluster) await(what string, holds func() bool) {
	c.Helper()
	for range 900 {
		if holds() {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	c.Fatalf("%s: it did not come\n%s", what, c.kubectl("describe", "pods"))
}

func (c *cluster) equal(what, got, want string) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %q, want %q", what, got, want)
	}
}
