package test

import (
	"strings"

	"cis/api"
)

// resizes: kubectl changes the resources of a pod that runs, and the pod tells how far that is.
func resizes(c *cluster, class string) {
	name := "resize-" + class
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + class + `
  terminationGracePeriodSeconds: 1
  containers:
  - name: a
    image: IMAGE
    command: [sh, -c, "trap 'exit 0' TERM; sleep 100000 & wait"]
    resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: memory, restartPolicy: RestartContainer}]
    resources: {requests: {cpu: 200m, memory: 64Mi}, limits: {cpu: "1", memory: 128Mi}}
`)
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")

	c.resize(name, "limits: {cpu: 300m}, requests: {cpu: 100m}")
	c.resized(name, "300m", "128Mi", "0")
	if has := c.instanceOf(name).Status.Resources; has != (api.ResourceList{CPU: 300, Memory: 128 * api.MiB}) {
		c.Errorf("the instance has %+v", has)
	}
	c.equal("what it was promised", c.get("pod/"+name, ".status.containerStatuses[0].allocatedResources.cpu"), "100m")
	if events := c.kubectl("get", "events", "--field-selector", "involvedObject.name="+name, "-o", "jsonpath={.items[*].reason}"); !strings.Contains(events, "ResizeStarted") || !strings.Contains(events, "ResizeCompleted") {
		c.Errorf("events: %s", events)
	}

	c.resize(name, "limits: {memory: 64Mi}")
	c.resized(name, "300m", "64Mi", "1")
	c.resize(name, "limits: {cpu: 500m, memory: 128Mi}")
	c.resized(name, "500m", "128Mi", "2")

	// What cannot be leaves the pod as it is, until something else is asked for.
	cpu, says := "100000", "the node has"
	if class == "cis-vm" {
		cpu, says = "1500m", "a VM keeps the processors"
	}
	c.resize(name, "limits: {cpu: "+cpu+"}")
	c.await("the refusal", func() bool { return c.resizeCondition(name, "PodResizePending", "reason") == "Infeasible" })
	if why := c.resizeCondition(name, "PodResizePending", "message"); !strings.Contains(why, says) {
		c.Errorf("it was refused with %q", why)
	}
	c.equal("its generation", c.resizeCondition(name, "PodResizePending", "observedGeneration"), c.get("pod/"+name, ".metadata.generation"))
	c.resized(name, "500m", "128Mi", "2")
	c.resize(name, "limits: {cpu: 400m}")
	c.resized(name, "400m", "128Mi", "2")
	c.await("the end of the refusal", func() bool { return c.resizeCondition(name, "PodResizePending", "reason") == "" })
	c.equal("the pod is ready", c.get("pod/"+name, `.status.conditions[?(@.type=="Ready")].status`), "True")
	if class == "cis-gvisor" {
		c.deferred(name)
	}
	c.kubectl("delete", "pod", name, "--timeout=120s")
}

// deferred: what the host has no room for now is given once it has.
func (c *cluster) deferred(name string) {
	info, err := c.stage.Client.Info(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	list, err := c.stage.Client.List(c.Context(), api.ListOptions{Limit: 1000})
	if err != nil {
		c.Fatal(err)
	}
	// Another instance has nearly all that those of other tests leave.
	rest := info.Capacity.Memory - api.GiB
	for _, in := range list.Items {
		if !in.Status.Phase.Finished() {
			rest -= in.Spec.Memory + 400*api.MiB // more than any needs for itself
		}
	}
	other := c.cis("run", "-d", "--memory", (rest / api.MiB * api.MiB).String(), c.stage.Image, "sleep", "100000")
	most := (info.Capacity.Memory / 2 / api.MiB * api.MiB).String()
	c.resize(name, "limits: {memory: "+most+"}")
	c.await("that it waits", func() bool { return c.resizeCondition(name, "PodResizePending", "reason") == "Deferred" })
	c.resized(name, "400m", "128Mi", "2")
	c.cis("rm", "-f", strings.TrimSpace(other))
	c.resized(name, "400m", most, "3")
}

// resize changes the resources of the pod's container.
func (c *cluster) resize(name, resources string) {
	c.Helper()
	c.kubectl("patch", "pod", name, "--subresource", "resize", "--patch", "spec: {containers: [{name: a, resources: {"+resources+"}}]}")
}

// resized waits until the pod has limits, and its container was restarted so often.
func (c *cluster) resized(name, cpu, memory, restarts string) {
	c.Helper()
	want := cpu + " " + memory + " " + restarts
	var got string
	c.await("the limits "+want, func() bool {
		const of = ".status.containerStatuses[0]"
		got = c.get("pod/"+name, of+".resources.limits.cpu") + " " + c.get("pod/"+name, of+".resources.limits.memory") + " " + c.get("pod/"+name, of+".restartCount")
		return got == want && c.get("pod/"+name, of+".ready") == "true" && c.resizeCondition(name, "PodResizeInProgress", "status") == ""
	})
}

func (c *cluster) resizeCondition(name, kind, field string) string {
	c.Helper()
	return c.get("pod/"+name, `.status.conditions[?(@.type=="`+kind+`")].`+field)
}

// instanceOf is the instance of a pod.
func (c *cluster) instanceOf(name string) api.Instance {
	c.Helper()
	list, err := c.stage.Client.List(c.Context(), api.ListOptions{Selector: "cis.io/pod-name=" + name})
	if err != nil || len(list.Items) != 1 {
		c.Fatalf("instances of pod %s: %+v, %v", name, list.Items, err)
	}
	return list.Items[0]
}
