package test

// ends: programs are asked to end by the signal that they want, and started again after the exit
// codes that a rule names.
func ends(c *cluster, class string) {
	signals, rules := "signals-"+class, "rules-"+class
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + signals + `}
spec:
  runtimeClassName: ` + class + `
  restartPolicy: Never
  os: {name: linux}
  terminationGracePeriodSeconds: 30
  containers:
  - name: a
    image: IMAGE
    command: [sh, -c, "trap 'echo asked; exit 7' USR1; trap '' TERM; touch /up; while :; do sleep 0.1; done"]
    livenessProbe: {exec: {command: [test, "!", -e, /up]}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 30}
    lifecycle: {stopSignal: SIGUSR1}
---
apiVersion: v1
kind: Pod
metadata: {name: ` + rules + `}
spec:
  runtimeClassName: ` + class + `
  restartPolicy: Never
  volumes: [{name: e, emptyDir: {}}]
  initContainers:
  - name: i
    image: IMAGE
    command: [sh, -c, "test -e /e/i || { touch /e/i; exit 3; }"]
    volumeMounts: [{name: e, mountPath: /e}]
    restartPolicy: Never
    restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [3]}}]
  containers:
  - name: a
    image: IMAGE
    command: [sh, -c, "test -e /e/a && exit 5; touch /e/a; exit 4"]
    volumeMounts: [{name: e, mountPath: /e}]
    restartPolicy: Never
    restartPolicyRules: [{action: Restart, exitCodes: {operator: NotIn, values: [0, 5]}}]
`)
	for _, name := range []string{rules, signals} {
		c.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/"+name, "--timeout=120s")
	}
	c.equal("the end by a signal", c.get("pod/"+signals, ".status.containerStatuses[0].state.terminated.exitCode"), "7")
	c.equal("what the signal did", c.kubectl("logs", signals), "asked")
	c.equal("the init container's", c.get("pod/"+rules, ".status.initContainerStatuses[0]['restartCount','state.terminated.exitCode']"), "1 0")
	c.equal("the container's", c.get("pod/"+rules, ".status.containerStatuses[0]['restartCount','state.terminated.exitCode']"), "1 5")
	c.kubectl("delete", "pod", signals, rules)
}
