package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// openWhole starts a cluster as its users do: the node and Services come with up.
func openWhole(t *testing.T) *cluster {
	t.Helper()
	c := prepare(t)
	c.up()
	return c
}

func (c *cluster) up() string {
	c.Helper()
	return c.must("up", "--listen", fmt.Sprintf("127.0.0.1:%d", c.port), "--node-name", c.node,
		"--node-address", hostAddress(c.T)+":0", "--vpc-netns", c.netns())
}

func (c *cluster) netns() string { return c.stage.Prefix + "-vpc-default" }

// hasRules tells whether kube-proxy's are in the namespace of the pods' VPC.
func (c *cluster) hasRules() bool {
	return exec.Command("ip", "netns", "exec", c.netns(), "nft", "list", "table", "ip", "kube-proxy").Run() == nil
}

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: IMAGE
        command: [sh, -c, "mkdir /www && hostname > /www/index.html && exec httpd -f -p 8080 -h /www"]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {tcpSocket: {port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {selector: {app: web}, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080, targetPort: http}]}
`

// TestServices: what pods expect of a cluster, from up alone.
func TestServices(t *testing.T) {
	c := openWhole(t)
	c.equal("nodes", c.get("nodes", ".items[*].metadata.name"), c.node)
	c.kubectl("wait", "--for=condition=Ready", "node/"+c.node, "--timeout=120s")
	c.apply(web)
	c.kubectl("run", "client", "--image="+c.stage.Image, "--command", "--", "sleep", "100000")
	c.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	c.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
	for _, part := range []struct {
		name string
		run  func(*cluster)
	}{
		{"clusterIP", clusterIP}, {"entry", entry}, {"policies", policies}, {"names", names}, {"api", apiServer}, {"disks", defaultClass}, {"groups", groups}, {"crash", crash}, {"down", down},
	} {
		t.Run(part.name, func(t *testing.T) {
			in := *c
			in.T = t
			part.run(&in)
		})
	}
}

// cis runs the command line of cis.
func (c *cluster) cis(args ...string) string {
	c.Helper()
	r, err := c.stage.Cis(c.Context(), "", args...)
	if err != nil || r.Code != 0 {
		c.Fatalf("cis %s: %v, %+v", strings.Join(args, " "), err, r)
	}
	return r.Stdout
}

// program is one that cis-kube keeps, as its status shows it.
type program struct {
	Name, LastEnd string
	PID, Restarts int
}

func (c *cluster) programs() []program {
	c.Helper()
	var status struct{ Programs []program }
	if err := json.Unmarshal([]byte(c.must("status", "--json")), &status); err != nil {
		c.Fatal(err)
	}
	return status.Programs
}

// fetch is what a Service answers to a pod.
func (c *cluster) fetch(pod, url string) (string, bool) {
	out, code := c.kube("", "kubectl", "exec", pod, "--", "timeout", "3", "wget", "-q", "-O", "-", url)
	return strings.TrimSpace(out), code == 0
}

// expectAll: a Service leads a pod to each of so many others.
func (c *cluster) expectAll(pod, url string, want int) {
	c.Helper()
	all := map[string]bool{}
	c.await(fmt.Sprintf("%d pods behind %s for %s", want, url, pod), func() bool {
		maps.Copy(all, c.answers(pod, url))
		return len(all) >= want
	})
	if len(all) > want {
		c.Errorf("%s is served by %v", url, slices.Collect(maps.Keys(all)))
	}
}

// answers are all that a Service gives to a pod in some tries.
func (c *cluster) answers(pod, url string) map[string]bool {
	c.Helper()
	all := map[string]bool{}
	c.await(url, func() bool { _, ok := c.fetch(pod, url); return ok })
	script := fmt.Sprintf("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do timeout 3 wget -q -O - %s; done", url)
	for name := range strings.FieldsSeq(c.kubectl("exec", pod, "--", "sh", "-c", script)) {
		all[name] = true
	}
	return all
}

func (c *cluster) webPods() []string {
	c.Helper()
	return strings.Fields(c.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"))
}

// clusterIP: a Service leads to all of its pods, to one for each client if it shall, and
// from a pod to that pod itself.
func clusterIP(c *cluster) {
	c.expectAll("client", "http://web", 2)
	if all := c.answers("client", "http://sticky"); len(all) != 1 {
		c.Errorf("sticky is served by %v", all)
	}
	c.expectAll(c.webPods()[0], "http://web", 2)
	c.kubectl("scale", "deployment/web", "--replicas=0")
	c.kubectl("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=120s")
	c.await("the end of web", func() bool { _, ok := c.fetch("client", "http://web"); return !ok })
	c.kubectl("scale", "deployment/web", "--replicas=2")
	c.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	c.answers("client", "http://web")
}

// expectLookUp: the cluster's DNS comes to answer so, as it hears of changes itself.
func (c *cluster) expectLookUp(want []string, args ...string) {
	c.Helper()
	c.await(fmt.Sprintf("%v of %v", want, args), func() bool {
		out, code := c.kube("", append([]string{"kubectl", "exec", "client", "--", "nslookup"}, args...)...)
		return code == 0 && !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(out, w) })
	})
}

// names: search domains, SRV and PTR records, headless Services, and what is not the cluster's.
func names(c *cluster) {
	service := c.get("service/web", ".spec.clusterIP")
	for _, name := range []string{"web.default.svc.cluster.local", "web.default.svc.cluster.local."} {
		c.expectLookUp([]string{service}, name)
	}
	resolv := c.kubectl("exec", "client", "--", "cat", "/etc/resolv.conf")
	if !strings.Contains(resolv, "search default.svc.cluster.local svc.cluster.local cluster.local") || !strings.Contains(resolv, "nameserver 10.96.0.10") {
		c.Errorf("resolv.conf: %s", resolv)
	}
	c.expectLookUp([]string{"80 web.default.svc.cluster.local"}, "-type=srv", "_http._tcp.web.default.svc.cluster.local")
	c.expectLookUp([]string{"web.default.svc.cluster.local"}, service)
	c.expectLookUp(strings.Fields(c.kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}")), "headless.default.svc.cluster.local")
	// The VPC's own names come through the cluster's DNS.
	instance := strings.TrimSpace(c.cis("ps", "-l", "cis.io/pod-name=client", "-o", "name"))
	c.expectLookUp([]string{c.get("pod/client", ".status.podIP")}, instance+".default.internal")
}

// apiServer: a program in a pod finds the API server by its environment and by its names,
// trusts it, and is known to it.
func apiServer(c *cluster) {
	program := filepath.Join(c.stage.Dir, "ask")
	build := exec.Command("go", "build", "-o", program, "./ask")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		c.Fatalf("%v: %s", err, out)
	}
	c.kubectl("create", "rolebinding", "see", "--clusterrole=view", "--serviceaccount=default:default")
	c.kubectl("cp", program, "client:/tmp/ask")
	for _, args := range [][]string{nil, {"kubernetes.default:443"}, {"kubernetes.default.svc.cluster.local:443"}} {
		out := c.kubectl(append([]string{"exec", "client", "--", "/tmp/ask"}, args...)...)
		if names := strings.Fields(out); !slices.Contains(names, "client") || len(names) != 3 {
			c.Errorf("ask %v: %s", args, out)
		}
	}
}

// groups: security groups decide by the pods behind a Service.
func groups(c *cluster) {
	c.answers("client", "http://web")
	c.cis("secgroup", "rule", "rm", "pods", "ingress", "1")
	if out, ok := c.fetch("client", "http://web"); ok {
		c.Errorf("pods that admit nobody answered %q", out)
	}
	c.cis("secgroup", "rule", "add", "pods", "ingress", "any")
	c.answers("client", "http://web")
	c.cis("secgroup", "rule", "rm", "pods", "egress", "1")
	if out, code := c.kube("", "kubectl", "exec", "client", "--", "/tmp/ask"); code == 0 {
		c.Errorf("a pod that may send nothing saw %q", out)
	}
	c.cis("secgroup", "rule", "add", "pods", "egress", "any")
	c.answers("client", "http://web")
}

// crash: programs, none of which has died by itself, die and come back, and Services with
// them.
func crash(c *cluster) {
	for _, p := range c.programs() {
		if p.Restarts > 0 {
			c.Errorf("%s was started anew: %s", p.Name, p.LastEnd)
		}
		if slices.Contains([]string{"relay", "kube-proxy", "cis-coredns", "cis-kubelet"}, p.Name) {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
				c.Errorf("kill %s: %v", p.Name, err)
			}
		}
	}
	c.kubectl("create", "service", "clusterip", "later", "--tcp=80:8080")
	c.kubectl("set", "selector", "service/later", "app=web")
	c.answers("client", "http://later")
}

// down takes the rules along, and up brings all back to the pods that stayed.
func down(c *cluster) {
	if !c.hasRules() {
		c.Error("kube-proxy has no rules in the VPC")
	}
	c.must("down")
	if c.hasRules() {
		c.Error("after down kube-proxy's rules are still in the VPC")
	}
	c.up()
	c.equal("restarts of the client", c.get("pod/client", ".status.containerStatuses[0].restartCount"), "0")
	c.answers("client", "http://web")
}
