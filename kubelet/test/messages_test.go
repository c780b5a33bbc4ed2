package test

// messages: what programs leave about their ends is in the pod's status.
func messages(c *cluster, class string) {
	name := "messages-" + class
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + class + `
  restartPolicy: Never
  initContainers:
  - {name: init, image: IMAGE, command: [sh, -c, "echo -n prepared >/dev/termination-log"]}
  containers:
  - {name: a, image: IMAGE, command: [sh, -c, "echo -n why >/var/log/end; exit 3"], terminationMessagePath: /var/log/end}
  - {name: b, image: IMAGE, command: [sh, -c, "echo output; echo last; exit 4"], terminationMessagePolicy: FallbackToLogsOnError}
  - {name: c, image: IMAGE, command: [sh, -c, "echo output"], terminationMessagePolicy: FallbackToLogsOnError}
`)
	c.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/"+name, "--timeout=120s")
	message := func(list, i string) string {
		return c.get("pod/"+name, ".status."+list+"["+i+"].state.terminated.message")
	}
	c.equal("of an init container", message("initContainerStatuses", "0"), "prepared")
	for i, want := range map[string]string{"0": "why", "1": "output\nlast", "2": ""} {
		c.equal("of container "+i, message("containerStatuses", i), want)
	}
	c.kubectl("delete", "pod", name)
}
