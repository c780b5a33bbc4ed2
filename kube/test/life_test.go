package test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

func (l *lab) deploy() {
	l.Helper()
	l.kubectl("create", "deployment", "web", "--image=web", "--replicas=2")
}

// expectDeployment: the Deployment is there, and its Pods wait for a node.
func (l *lab) expectDeployment() {
	l.Helper()
	l.await("the Pods", func() bool {
		phases, code := l.run("kubectl", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.phase} {.items[*].status.conditions[*].reason}")
		return code == 0 && strings.TrimSpace(phases) == "Pending Pending Unschedulable Unschedulable"
	})
}

// TestLife takes a control plane through all that may happen to it; the Deployment that
// was made at first is there at the end.
func TestLife(t *testing.T) {
	l := newLab(t)
	if out, code := l.run("status"); code != 3 || !strings.Contains(out, "no control plane runs") {
		t.Errorf("status before: %d, %s", code, out)
	}
	if _, code := l.run("down"); code != 3 {
		t.Errorf("down before: %d", code)
	}
	began := time.Now()
	out := l.up()
	t.Logf("first start: %.1f s", time.Since(began).Seconds())
	if !strings.Contains(out, "is ready at https://127.0.0.1:") || !strings.Contains(out, "cis kubectl") {
		t.Errorf("up says %q", out)
	}
	l.deploy()
	l.expectDeployment()
	uid := l.kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}")
	expect := func(after string) {
		t.Helper()
		l.expectDeployment()
		if now := l.kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.uid}"); now != uid {
			t.Errorf("after %s there is another Deployment", after)
		}
	}
	for _, p := range l.status().Programs {
		if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		l.await(p.Name+" comes back", func() bool {
			for _, now := range l.status().Programs {
				if now.Name == p.Name {
					return now.State == "ready" && now.PID != p.PID
				}
			}
			return false
		})
		expect("a kill of " + p.Name)
	}
	if out := l.up(); !strings.Contains(out, "runs already") {
		t.Errorf("a second up says %q", out)
	}

	if err := syscall.Kill(l.status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	l.up()
	t.Logf("start after a kill: %.1f s", time.Since(began).Seconds())
	expect("a kill of cis-kube")

	began = time.Now()
	l.must("down")
	t.Logf("down: %.1f s", time.Since(began).Seconds())
	l.expectNothing()
	if out, code := l.run("up", "--service-cidr", "10.97.0.0/16"); code != 2 || !strings.Contains(out, "--service-cidr") {
		t.Errorf("another --service-cidr: %d, %s", code, out)
	}
	began = time.Now()
	l.up()
	t.Logf("start again: %.1f s", time.Since(began).Seconds())
	expect("down and up")
}

// TestKillsAtTheFirstStart kills cis-kube at moments of the first start; each next one
// goes on from there.
func TestKillsAtTheFirstStart(t *testing.T) {
	l := newLab(t)
	for moment := 50 * time.Millisecond; moment < 6*time.Second; moment = moment * 8 / 5 {
		cmd := l.command(l.upArgs("--foreground")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(moment)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	l.up()
	l.deploy()
	l.expectDeployment()
}

func TestExternalEtcd(t *testing.T) {
	etcd := newLab(t)
	url := "http://127.0.0.1:" + itoa(etcd.port)
	cmd := etcd.command("etcd", "--data-dir", etcd.dir, "--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", "unix://"+etcd.dir+".sock")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	l := newLab(t)
	l.up("--etcd", url)
	l.deploy()
	l.expectDeployment()
	if programs := l.status().Programs; len(programs) != 4 { // metrics-server is one of them
		t.Errorf("there run %v", programs)
	}
}

func TestBadFlags(t *testing.T) {
	l := newLab(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"up", "--listen", "6443"}, "--listen"},
		{[]string{"up", "--advertise-address", "host"}, "--advertise-address"},
		{[]string{"up", "--service-cidr", "10.0.0.0/8"}, "--service-cidr"},
		{[]string{"up", "--etcd", "host:2379"}, "--etcd"},
		{[]string{"up", "--extra", "kubelet=--v=2"}, "--extra"},
		{[]string{"up", "--nonsense"}, "unknown flag: --nonsense"},
		{[]string{"up", "more"}, "unknown command"},
		{[]string{"token", "--ttl", "1s"}, "--ttl"},
		{[]string{"nonsense"}, "unknown command"},
	} {
		if out, code := l.run(test.args...); code != 2 || !strings.Contains(out, test.want) || !strings.Contains(out, "--help") {
			t.Errorf("%v: %d, %s", test.args, code, out)
		}
	}
}

// TestFailedStart: what does not start says why, and leaves nothing running.
func TestFailedStart(t *testing.T) {
	l := newLab(t)
	out, code := l.run(l.upArgs("--extra", "kube-scheduler=--nonsense")...)
	if code != 1 || !strings.Contains(out, "kube-scheduler") || !strings.Contains(out, "unknown flag: --nonsense") {
		t.Errorf("exit code %d, %s", code, out)
	}
	l.expectNothing()
}
