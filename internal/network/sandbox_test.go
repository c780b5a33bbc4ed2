package network

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cis/internal/testbox"
)

// runscPath finds the sandbox runtime: CIS_RUNSC, or what the build put into bin/.
func runscPath(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("CIS_RUNSC"); p != "" {
		return p
	}
	p, err := filepath.Abs("../../bin/runsc")
	check(t, err)
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("no runsc: build bin/runsc or set CIS_RUNSC (%v)", err)
	}
	return p
}

// sandbox runs a shell script in a gVisor sandbox on the NIC.
func (l *lab) sandbox(link Link, root, script string) *exec.Cmd {
	t := l.t.(*testing.T)
	t.Helper()
	bundle := t.TempDir()
	spec := map[string]any{
		"ociVersion": "1.1.0",
		"root":       map[string]any{"path": root, "readonly": true},
		"process": map[string]any{
			"cwd": "/", "user": map[string]int{"uid": 0, "gid": 0}, "env": []string{"PATH=/bin"},
			"args":         []string{"/bin/busybox", "sh", "-c", script},
			"capabilities": map[string]any{"bounding": caps, "effective": caps, "permitted": caps},
		},
		"mounts": []map[string]any{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
		},
		"linux": map[string]any{"namespaces": []map[string]string{
			{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network", "path": link.NetNS},
		}},
	}
	data, err := json.Marshal(spec)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o644))
	runtime, id := runscPath(t), fmt.Sprintf("%s-%d", l.prefix, time.Now().UnixNano())
	state := filepath.Join(bundle, "state")
	flags := []string{"--platform=systrap", "--rootless=false", "--net-raw", "--ignore-cgroups", "--root", state}
	cmd := exec.Command(runtime, append(flags, "run", "--bundle", bundle, id)...)
	t.Cleanup(func() {
		exec.Command(runtime, append(flags, "delete", "--force", id)...).Run()
		unix.Unmount(filepath.Join(state, "null-netns"), 0) // runsc keeps one for all gofers of a directory
	})
	return cmd
}

var caps = []string{"CAP_NET_BIND_SERVICE", "CAP_NET_RAW"}

func (l *lab) runs(link Link, root, script, want string) {
	l.t.Helper()
	out, err := l.sandbox(link, root, script).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		l.t.Errorf("%s: %v, want %q in\n%s", script, err, want, out)
	}
}

// Two real sandboxes: names, pings, a web server and 32 MiB through it with the
// kernel's offloads on; and a second life on the same NIC after Renew.
func TestSandboxes(t *testing.T) {
	l := newLab(t)
	l.serveDNS(l.outside, outsideAddr+":53", &upstreamServer{})
	l.serve(l.outside, ":80")
	l.serve(l.host, ":80")
	m := l.open()
	l.ensure(m, l.vpc("default"))
	l.names.set("default", "web", netip.MustParseAddr("10.77.0.3"))

	root := t.TempDir()
	for _, d := range []string{"bin", "etc", "proc", "tmp"} {
		check(t, os.Mkdir(filepath.Join(root, d), 0o755))
	}
	busybox, err := os.ReadFile(testbox.Busybox(t))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(root, "bin/busybox"), busybox, 0o755))
	for _, applet := range []string{"sh", "wget", "ping", "nslookup", "httpd", "sha256sum", "nc", "timeout", "echo"} {
		check(t, os.Symlink("busybox", filepath.Join(root, "bin", applet)))
	}
	blob := make([]byte, 32<<20)
	rand.Read(blob)
	check(t, os.WriteFile(filepath.Join(root, "blob"), blob, 0o644))

	server, err := m.Attach(ctx, nicAt("default", 3).dual())
	check(t, err)
	client, err := m.Attach(ctx, nicAt("default", 2).dual())
	check(t, err)
	resolv := fmt.Sprintf("nameserver %s\nsearch %s\n", server.DNS, server.Search)
	check(t, os.WriteFile(filepath.Join(root, "etc/resolv.conf"), []byte(resolv), 0o644))

	web := l.sandbox(server, root, "httpd -f -p 80 -h /")
	var log bytes.Buffer
	web.Stdout, web.Stderr = &log, &log
	check(t, web.Start())
	t.Cleanup(func() {
		web.Process.Signal(os.Interrupt)
		web.Wait()
		if t.Failed() {
			t.Logf("web server: %s", log.String())
		}
	})
	eventually(t, "the web server", func() bool {
		c, err := m.Dial(ctx, "default", "tcp", "10.77.0.3:80")
		if err == nil {
			c.Close()
		}
		return err == nil
	})

	l.runs(client, root, "ping -c 1 -W 2 web && ping -c 1 -W 2 169.254.1.1", "1 packets received")
	inner := l.enter(client)
	eth, err := inner.route.LinkByName(client.Name)
	check(t, err)
	if addrs, err := inner.route.AddrList(eth, netlink.FAMILY_ALL); err != nil || len(addrs) != 0 {
		t.Errorf("the sandbox left %v (%v) in the namespace", addrs, err)
	}
	renewed := func() Link {
		link, err := m.Renew(ctx, nicAt("default", 2).ID)
		check(t, err)
		return link
	}
	l.runs(renewed(), root, "wget -q -O - http://web.default.internal/blob | sha256sum", fmt.Sprintf("%x", sha256.Sum256(blob)))
	l.runs(renewed(), root, "nslookup web.default.internal", "10.77.0.3")
	l.runs(renewed(), root, "nslookup 10.77.0.3", "web.default.internal")
	l.runs(renewed(), root, "nslookup www.example", "198.51.100.7")
	l.runs(renewed(), root, "timeout 2 nc "+outsideAddr+" 80 </dev/null", hostAddr)
	l.runs(renewed(), root, "timeout 1 nc "+hostAddr+" 80 </dev/null || echo kept out", "kept out")

	six := nicAt("default", 3).dual().Address6.String()
	l.runs(renewed(), root, "ping -c 1 -W 2 "+six+" && ping -c 1 -W 2 "+Gateway6.String()+"%eth0", "1 packets received")
	l.runs(renewed(), root, "wget -q -O - http://["+six+"]/blob | sha256sum", fmt.Sprintf("%x", sha256.Sum256(blob)))
	l.runs(renewed(), root, "timeout 2 nc "+outsideAddr6+" 80 </dev/null", hostAddr6)
	l.runs(renewed(), root, "timeout 1 nc "+hostAddr6+" 80 </dev/null || echo kept out", "kept out")

	// Nothing that a running server repeats disturbs a running sandbox.
	flow := l.rawFlow(m, "10.77.0.3:80")
	check(t, m.Reconcile(ctx, l.wants("default", nicAt("default", 2).dual(), nicAt("default", 3).dual())))
	_, err = m.Attach(ctx, nicAt("default", 3).dual())
	check(t, err)
	flow("after Reconcile and Attach")
}

// rawFlow opens an HTTP connection from the VPC and returns what uses it to the end.
func (l *lab) rawFlow(m *Manager, address string) func(when string) {
	c, err := m.Dial(ctx, "default", "tcp", address)
	check(l.t, err)
	return func(when string) {
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "GET /etc/resolv.conf HTTP/1.0\r\n\r\n")
		buf := make([]byte, 12)
		if n, err := c.Read(buf); err != nil || !strings.HasSuffix(string(buf[:n]), " 200") {
			l.t.Errorf("%s: %q %v", when, buf[:n], err)
		}
	}
}
