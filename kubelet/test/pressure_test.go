package test

import "strings"

// short: a node that wants more memory than its host has left says so, takes no more pods
// that could do without it, and evicts with grace: first who uses what it did not ask for.
func short(c *cluster) {
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - {name: main, image: IMAGE, command: [sh, -c, "trap 'sleep 3; exit 9' TERM; while :; do sleep 0.1; done"]}
---
apiVersion: v1
kind: Pod
metadata: {name: modest}
spec:
  terminationGracePeriodSeconds: 0
  priorityClassName: system-node-critical
  containers:
  - {name: main, image: IMAGE, command: [sleep, "100000"]}
`)
	defer c.kubectl("delete", "pod", "greedy", "modest", "--now")
	c.kubectl("wait", "--for=condition=Ready", "pod/greedy", "pod/modest", "--timeout=120s")
	c.stopKubelet()
	c.startKubelet("-eviction-hard", "", "-eviction-soft", "memory.available<10000Gi", "-eviction-soft-grace-period", "memory.available=1s",
		"-eviction-max-pod-grace-period", "30", "-eviction-pressure-transition-period", "1s")
	c.kubectl("wait", "--for=condition=MemoryPressure", "node/"+c.node, "--timeout=120s")
	c.kubectl("wait", "--for=jsonpath={.status.reason}=Evicted", "pod/greedy", "--timeout=120s")
	c.equal("phase", c.get("pod/greedy", ".status.phase"), "Failed")
	if text := c.get("pod/greedy", ".status.message"); !strings.HasPrefix(text, "The node was low on resource: memory. Threshold quantity: 10000Gi, available: ") ||
		!strings.Contains(text, "Container main was using ") {
		c.Errorf("message %q", text)
	}
	c.equal("the end that it had time for", c.get("pod/greedy", ".status.containerStatuses[0].state.terminated.exitCode"), "9")
	c.equal("disruption", c.get("pod/greedy", `.status.conditions[?(@.type=="DisruptionTarget")].reason`), "TerminationByKubelet")
	c.await("the event", func() bool {
		return strings.Contains(c.kubectl("get", "events", "--field-selector", "involvedObject.name=greedy"), "Evicted")
	})
	c.await("the taint", func() bool { return strings.Contains(c.get("node/"+c.node, ".spec.taints[*].key"), "memory-pressure") })
	c.equal("disk pressure", c.get("node/"+c.node, `.status.conditions[?(@.type=="DiskPressure")].status`), "False")
	c.equal("a critical pod", c.get("pod/modest", ".status.phase"), "Running")

	c.stopKubelet()
	c.startKubelet()
	c.kubectl("wait", "--for=condition=MemoryPressure=false", "node/"+c.node, "--timeout=120s")
	c.await("no taint", func() bool { return c.get("node/"+c.node, ".spec.taints[*].key") == "" })
}
