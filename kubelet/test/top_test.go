package test

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// top: what containers use is told by kubectl top.
func top(c *cluster, class string) {
	name := "top-" + strings.TrimPrefix(class, "cis-")
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + class + `
  terminationGracePeriodSeconds: 0
  containers:
  - {name: idle, image: IMAGE, command: [sleep, "100000"]}
  - {name: busy, image: IMAGE, command: [sh, -c, "while :; do :; done"]}
`)
	defer c.kubectl("delete", "pod", name, "--now")
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")
	var rows map[string][]string
	c.await("kubectl top pod", func() bool {
		rows = c.table("pod", name, "--containers")
		return len(rows) == 2
	})
	busy, idle := rows["busy"], rows["idle"]
	if cpu(c, busy[2]) < 100 || cpu(c, busy[2]) > 1200 || cpu(c, idle[2]) > cpu(c, busy[2])/2 {
		c.Errorf("kubectl top: busy %v, idle %v", busy, idle)
	}
	if out := c.kubectl("top", "pod", name, "--no-headers"); !strings.HasPrefix(out, name) {
		c.Errorf("kubectl top pod: %s", out)
	}
	// Of a node two samples are needed.
	c.await("kubectl top node", func() bool {
		out, code := c.kube("", "kubectl", "top", "node", c.node, "--no-headers")
		fields := strings.Fields(out)
		return code == 0 && len(fields) > 3 && fields[0] == c.node && fields[3] != "0Mi"
	})
	summary := c.kubectl("get", "--raw", "/api/v1/nodes/"+c.node+"/proxy/stats/summary")
	for _, want := range []string{`"` + name + `"`, `"name":"busy"`, `"name":"idle"`, `"nodeName":"` + c.node + `"`, `"usageNanoCores"`, `"rootfs"`} {
		if !strings.Contains(summary, want) {
			c.Errorf("%s is not in the summary\n%s", want, summary)
		}
	}
}

// table is kubectl top of a kind: its lines by what they are about, a container where there are such.
func (c *cluster) table(args ...string) map[string][]string {
	c.Helper()
	out, code := c.kube("", append(append([]string{"kubectl", "top"}, args...), "--no-headers")...)
	if code != 0 { // nothing is known yet
		return nil
	}
	rows := map[string][]string{}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 3 {
			rows[fields[1]] = fields
		}
	}
	return rows
}

// cpu reads millicores such as 250m.
func cpu(c *cluster, text string) int64 {
	c.Helper()
	q, err := resource.ParseQuantity(text)
	if err != nil {
		c.Fatalf("%q: %v", text, err)
	}
	return q.MilliValue()
}

// autoscale: pods that work hard get more of their kind.
func autoscale(c *cluster) {
	c.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: hard}
spec:
  selector: {matchLabels: {app: hard}}
  template:
    metadata: {labels: {app: hard}}
    spec:
      runtimeClassName: cis-gvisor
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: IMAGE
        command: [sh, -c, "while :; do :; done"]
        resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 250m, memory: 64Mi}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: hard}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: hard}
  minReplicas: 1
  maxReplicas: 2
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
`)
	defer c.kubectl("delete", "deployment/hard", "hpa/hard", "--wait=true")
	c.kubectl("wait", "--for=jsonpath={.status.desiredReplicas}=2", "hpa/hard", "--timeout=180s")
	c.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/hard", "--timeout=120s")
}
