package test

import "strings"

// debuggers: containers of a pod share their processes if it says so, and kubectl debug adds
// more of them to a pod that runs.
func debuggers(c *cluster, class string) {
	name := "debug-" + class
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + class + `
  terminationGracePeriodSeconds: 1
  containers:
  - {name: a, image: IMAGE, command: [sh, -c, "echo x >/here; exec sleep 100000"]}
  - {name: b, image: IMAGE, command: [sleep, "200000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: shared-` + name + `}
spec:
  runtimeClassName: ` + class + `
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 1
  containers:
  - {name: a, image: IMAGE, command: [sleep, "100000"]}
  - {name: b, image: IMAGE, command: [sleep, "200000"]}
`)
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "pod/shared-"+name, "--timeout=120s")
	c.equal("processes that are shared", c.kubectl("exec", "shared-"+name, "-c", "b", "--", "sh", "-c", "pidof sleep | wc -w; grep -c pause /proc/1/cmdline"), "2\n1")
	c.kubectl("delete", "pod", "shared-"+name)

	// Of the target alone, with input.
	const script = "pidof sleep | wc -w; cat /proc/1/root/here; cat /here; exit 3\n"
	out, _ := c.kube(script, "kubectl", "debug", "-i", name, "--image="+c.stage.Image, "--target=a", "-c", "first", "--", "sh")
	if !strings.Contains(out, "1\nx\n") || !strings.Contains(out, "can't open '/here'") {
		c.Errorf("the first one saw %s", out)
	}
	status := func(n, path string) string {
		return c.get("pod/"+name, ".status.ephemeralContainerStatuses["+n+"]"+path)
	}
	c.await("the first one's end", func() bool { return status("0", ".state.terminated.exitCode") == "3" })
	c.equal("it is ready", status("0", ".ready"), "false")

	// Left alone: with logs, exec, and an end with the pod.
	c.kubectl("debug", name, "--image="+c.stage.Image, "-c", "second", "--", "sh", "-c", "echo seen; exec sleep 300000")
	c.await("the second one", func() bool { return status("1", ".state.running.startedAt") != "" })
	c.await("its log", func() bool { return c.kubectl("logs", name, "-c", "second") == "seen" })
	c.equal("exec", c.kubectl("exec", name, "-c", "second", "--", "sh", "-c", "pidof sleep | wc -w"), "1")
	c.write("custom.json", `{"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}`)
	c.kubectl("debug", name, "--image="+c.stage.Image, "--custom="+c.stage.Dir+"/custom.json", "-c", "third", "--", "sh")
	c.await("the third one's refusal", func() bool { return status("2", ".state.terminated.reason") == "Refused" })
	if why := status("2", ".state.terminated.message"); !strings.Contains(why, "spec.ephemeralContainers[2].securityContext.appArmorProfile.type") {
		c.Errorf("it was refused with %q", why)
	}
	c.equal("the pod is ready", c.get("pod/"+name, `.status.conditions[?(@.type=="Ready")].status`), "True")
	c.kubectl("delete", "pod", name, "--timeout=120s")
}
