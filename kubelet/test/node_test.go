package test

import (
	"fmt"
	"strings"
	"testing"
)

// pod is one with a container that runs a shell script, and more lines of spec.
func pod(name, script, more string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 5
%s
  containers:
  - {name: a, image: IMAGE, command: [sh, -c, %q]}
`, name, strings.ReplaceAll("  "+more, "\n", "\n  "), script)
}

const forever = "trap 'exit 0' TERM; echo started; sleep 100000 & wait"

// TestNode tries each part of a pod's life on gVisor; a few on a VM too.
func TestNode(t *testing.T) {
	c := open(t)
	for name, test := range map[string]func(*cluster){
		"life": life, "streams": streams, "volumes": volumes, "updates": updates, "refused": refused, "jobs": jobs, "force": force, "vm": vm, "drain": drain,
		"parts of volumes": func(c *cluster) { subPaths(c, "cis-gvisor") }, "parts of volumes in a VM": func(c *cluster) { subPaths(c, "cis-vm") },
		"claims": func(c *cluster) { claims(c, "cis-gvisor", "cis-disk", 2) }, "claims in a VM": func(c *cluster) { claims(c, "cis-vm", "cis-disk-vm", 1) },
		"disks of one's own": ownDisks, "nfs": nfs,
		"ephemeral disks": func(c *cluster) { ephemeral(c, "cis-gvisor", "cis-disk") }, "ephemeral disks in a VM": func(c *cluster) { ephemeral(c, "cis-vm", "cis-disk-vm") },
		"host names": func(c *cluster) { hostnames(c, "cis-gvisor") }, "host names in a VM": func(c *cluster) { hostnames(c, "cis-vm") },
		"ends": func(c *cluster) { ends(c, "cis-gvisor") }, "ends in a VM": func(c *cluster) { ends(c, "cis-vm") },
		"host ports": func(c *cluster) { hostPorts(c, "cis-gvisor") }, "host ports of a VM": func(c *cluster) { hostPorts(c, "cis-vm") },
		"terminals": func(c *cluster) { terminals(c, "cis-gvisor") }, "terminals in a VM": func(c *cluster) { terminals(c, "cis-vm") },
		"messages": func(c *cluster) { messages(c, "cis-gvisor") }, "messages from a VM": func(c *cluster) { messages(c, "cis-vm") },
		"debug": func(c *cluster) { debuggers(c, "cis-gvisor") }, "debug in a VM": func(c *cluster) { debuggers(c, "cis-vm") },
		"resize": func(c *cluster) { resizes(c, "cis-gvisor") }, "resize in a VM": func(c *cluster) { resizes(c, "cis-vm") },
		"sidecars": func(c *cluster) { sidecars(c, "cis-gvisor") }, "sidecars in a VM": func(c *cluster) { sidecars(c, "cis-vm") },
		"top": func(c *cluster) { top(c, "cis-gvisor") }, "top in a VM": func(c *cluster) { top(c, "cis-vm") }, "autoscale": autoscale,
	} {
		t.Run(name, func(t *testing.T) {
			in := *c
			in.T = t
			test(&in)
		})
	}
	t.Run("away", func(t *testing.T) { c.T = t; away(c) })
	t.Run("pressure", func(t *testing.T) { c.T = t; short(c) })
	t.Run("certificates", func(t *testing.T) { c.T = t; certificates(c) })
	c.T = t
}

func life(c *cluster) {
	c.apply(pod("life", forever, ""))
	c.kubectl("wait", "--for=condition=Ready", "pod/life", "--timeout=120s")
	c.equal("phase", c.get("pod/life", ".status.phase"), "Running")
	c.equal("quality of service", c.get("pod/life", ".status.qosClass"), "BestEffort")
	node := func(path string) string { return c.get("node/"+c.node, ".status."+path) }
	c.equal("what runtimes are there", node("runtimeHandlers[*].name"), "cis-gvisor cis-vm")
	c.equal("groups of pods", node("features.supplementalGroupsPolicy"), "true")
	for _, path := range []string{"capacity.ephemeral-storage", "nodeInfo.bootID"} {
		if text := node(path); text == "" || text == c.node {
			c.Errorf("the node's %s is %q", path, text)
		}
	}
	c.equal("generation", c.get("pod/life", ".status.observedGeneration"), c.get("pod/life", ".metadata.generation"))
	if ip := c.get("pod/life", ".status.podIP"); ip == "" {
		c.Error("the pod has no address")
	}
	// A program that ends at once is not waited for longer.
	c.kubectl("delete", "pod", "life", "--grace-period=3600", "--timeout=300s")
}

func streams(c *cluster) {
	c.apply(pod("streams", forever+"", ""))
	c.kubectl("wait", "--for=condition=Ready", "pod/streams", "--timeout=120s")
	c.await("its log", func() bool { return c.kubectl("logs", "streams", "--tail=1") == "started" })
	out, code := c.kube("hello", "kubectl", "exec", "-i", "streams", "--", "cat")
	if code != 0 || !strings.Contains(out, "hello") {
		c.Errorf("exec: %d %q", code, out)
	}
	if out, code := c.kube("", "kubectl", "exec", "streams", "--", "sh", "-c", "exit 7"); code != 7 {
		c.Errorf("exit code %d: %s", code, out)
	}
	c.write("file", "copied")
	c.kubectl("cp", c.stage.Dir+"/file", "streams:/tmp/file")
	c.equal("the copy", c.kubectl("exec", "streams", "--", "cat", "/tmp/file"), "copied")
	if events := c.kubectl("get", "events", "--field-selector", "involvedObject.name=streams", "-o", "jsonpath={.items[*].reason}"); !strings.Contains(events, "Started") {
		c.Errorf("events: %s", events)
	}
}

func volumes(c *cluster) {
	c.kubectl("create", "configmap", "settings", "--from-literal=k=v")
	c.kubectl("create", "secret", "generic", "word", "--from-literal=p=secret")
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: volumes}
spec:
  restartPolicy: Never
  volumes:
  - {name: c, configMap: {name: settings}}
  - {name: s, secret: {secretName: word}}
  - {name: e, emptyDir: {}}
  initContainers:
  - {name: init, image: IMAGE, command: [sh, -c, "echo made > /e/x"], volumeMounts: [{name: e, mountPath: /e}]}
  containers:
  - name: a
    image: IMAGE
    command: [sh, -c, "cat /c/k /s/p /e/x; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo; echo $KUBERNETES_SERVICE_HOST; test \"$URL\" = http://$IP:80 && hostname -i | grep -qw $(IP) && echo $NAME"]
    env:
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: URL, value: "http://$(IP):80"}
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    volumeMounts: [{name: c, mountPath: /c}, {name: s, mountPath: /s}, {name: e, mountPath: /e}]
`)
	c.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/volumes", "--timeout=120s")
	c.equal("what it saw", c.kubectl("logs", "volumes", "-c", "a"), "vsecretmade\ndefault\n10.96.0.1\nvolumes")
}

// sidecars: a pod with one is done when its main container is, and what its security
// context asks for holds.
func sidecars(c *cluster, class string) {
	name := "sidecars-" + class
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: ` + name + `}
spec:
  runtimeClassName: ` + class + `
  restartPolicy: Never
  securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000, supplementalGroups: [3000], supplementalGroupsPolicy: Strict}
  volumes:
  - {name: e, emptyDir: {}}
  initContainers:
  - name: side
    image: IMAGE
    restartPolicy: Always
    command: [sh, -c, "trap 'exit 3' TERM; touch /e/up; while :; do sleep 0.1; done"]
    startupProbe: {exec: {command: [test, -e, /e/up]}, periodSeconds: 1, failureThreshold: 60}
    lifecycle: {preStop: {sleep: {seconds: 1}}}
    volumeMounts: [{name: e, mountPath: /e}]
  containers:
  - name: a
    image: IMAGE
    command: [sh, -c, "unshare -U true && echo unconfined; id -G; stat -c '%a %g' /e /e/up; setpriv -d 2>/dev/null | grep no_new_privs; while ! test -e /e/go; do sleep 0.1; done"]
    resources: {limits: {ephemeral-storage: 64Mi}}
    securityContext: {allowPrivilegeEscalation: false, seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}, seLinuxOptions: {}, procMount: Default}
    volumeMounts: [{name: e, mountPath: /e}]
`)
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")
	c.equal("the sidecar is started and ready", c.get("pod/"+name, ".status.initContainerStatuses[0]['started','ready']"), "true true")
	c.equal("initialized", c.get("pod/"+name, `.status.conditions[?(@.type=="Initialized")].status`), "True")
	c.equal("whom a program is", c.get("pod/"+name, ".status.containerStatuses[0].user.linux['uid','gid','supplementalGroups']"), "1000 1000 [2000,3000]")
	c.equal("its mounts", c.get("pod/"+name, ".status.containerStatuses[0].volumeMounts[0]['name','mountPath']"), "e /e")
	c.kubectl("exec", name, "-c", "side", "--", "touch", "/e/go")
	c.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/"+name, "--timeout=120s")
	c.equal("the sidecar's end", c.get("pod/"+name, ".status.initContainerStatuses[0].state.terminated.exitCode"), "3")
	c.equal("what the program saw", c.kubectl("logs", name, "-c", "a"), "unconfined\n1000 2000 3000\n2777 2000\n644 2000\nno_new_privs: 1")
	c.kubectl("delete", "pod", name)
}

// updates changes what the volumes of a running pod show.
func updates(c *cluster) {
	c.kubectl("create", "configmap", "live", "--from-literal=k=1")
	c.apply(`
apiVersion: v1
kind: Pod
metadata: {name: updates, labels: {l: "1"}}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: c, configMap: {name: live}}
  - name: p
    projected:
      sources:
      - serviceAccountToken: {path: token, expirationSeconds: 600}
      - secret: {name: later, optional: true}
      - downwardAPI: {items: [{path: l, fieldRef: {fieldPath: "metadata.labels['l']"}}]}
  containers:
  - {name: a, image: IMAGE, command: [sleep, "100000"], volumeMounts: [{name: c, mountPath: /c}, {name: p, mountPath: /p}]}
`)
	c.kubectl("wait", "--for=condition=Ready", "pod/updates", "--timeout=120s")
	shows := func(want string) {
		c.Helper()
		c.await("the files "+want, func() bool {
			out, _ := c.kube("", "kubectl", "exec", "updates", "--", "sh", "-c", "cd /c && echo * $(cat *); cd /p && echo * $(cat l w 2>/dev/null)")
			return strings.TrimSpace(out) == want
		})
	}
	shows("k 1\nl token 1")
	c.kubectl("patch", "configmap", "live", "-p", `{"data":{"k":"2","j":"3"}}`)
	shows("j k 32\nl token 1")
	c.kubectl("create", "secret", "generic", "later", "--from-literal=w=x")
	shows("j k 32\nl token w 1x")
	c.kubectl("label", "pod", "updates", "l=2", "--overwrite")
	shows("j k 32\nl token w 2x")
	c.kubectl("delete", "secret", "later")
	shows("j k 32\nl token 2")
	c.kubectl("delete", "pod", "updates")
}

func refused(c *cluster) {
	c.apply(pod("refused", forever, "hostNetwork: true"))
	c.await("the event", func() bool {
		return strings.Contains(c.kubectl("get", "events", "--field-selector", "involvedObject.name=refused,reason=Refused", "-o", "jsonpath={.items[*].message}"), "spec.hostNetwork")
	})
	c.equal("phase", c.get("pod/refused", ".status.phase"), "Pending")
	c.kubectl("delete", "pod", "refused")
}

func jobs(c *cluster) {
	c.apply(pod("fails", "exit 3", "restartPolicy: Never"))
	c.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/fails", "--timeout=120s")
	c.equal("exit code", c.get("pod/fails", ".status.containerStatuses[0].state.terminated.exitCode"), "3")
	c.kubectl("create", "job", "one", "--image="+c.stage.Image, "--", "echo", "done")
	c.kubectl("wait", "--for=condition=Complete", "job/one", "--timeout=120s")
	c.kubectl("create", "deployment", "many", "--image="+c.stage.Image, "--replicas=3", "--", "sleep", "100000")
	c.kubectl("rollout", "status", "deployment/many", "--timeout=120s")
	c.kubectl("delete", "deployment", "many", "--cascade=foreground")
}

func force(c *cluster) {
	c.apply(pod("stubborn", "trap '' TERM; while :; do sleep 1; done", ""))
	c.kubectl("wait", "--for=condition=Ready", "pod/stubborn", "--timeout=120s")
	c.kubectl("delete", "pod", "stubborn", "--grace-period=0", "--force")
	c.await("the instance's end", func() bool {
		r, err := c.stage.Cis(c.Context(), "", "ps", "-aq", "-l", "cis.io/pod-name=stubborn")
		return err == nil && r.Stdout == ""
	})
}

func vm(c *cluster) {
	c.apply(pod("vm", forever, "runtimeClassName: cis-vm\nsecurityContext: {sysctls: [{name: net.ipv4.tcp_fin_timeout, value: \"7\"}]}"))
	c.kubectl("wait", "--for=condition=Ready", "pod/vm", "--timeout=120s")
	c.equal("exec, and a setting of its kernel", c.kubectl("exec", "vm", "--", "cat", "/proc/sys/net/ipv4/tcp_fin_timeout"), "7")
	c.kubectl("delete", "pod", "vm")
}

// away: pods live on without cis-kubelet, and what changed meanwhile is put right.
func away(c *cluster) {
	c.apply(pod("stays", forever, ""))
	c.apply(pod("goes", forever, ""))
	c.apply(strings.Replace(pod("sized", forever, ""), "name: a,", "name: a, resources: {limits: {cpu: 500m, memory: 64Mi}},", 1))
	c.kubectl("wait", "--for=condition=Ready", "pod/stays", "pod/goes", "pod/sized", "--timeout=120s")
	c.policy("{podSelector: {}, ingress: []}")
	c.await("the group of the policy", func() bool { return len(c.ofPolicies()) == 1 })
	id := c.get("pod/stays", ".status.containerStatuses[0].containerID")
	c.kubectl("debug", "stays", "--image="+c.stage.Image, "-c", "debugger", "--", "sleep", "100000")
	const since = ".status.ephemeralContainerStatuses[0].state.running.startedAt"
	c.await("the debugger", func() bool { return c.get("pod/stays", since) != "" })
	debugger := c.get("pod/stays", since)
	c.stopKubelet()
	c.kubectl("delete", "pod", "goes", "--grace-period=0", "--force")
	c.kubectl("delete", "networkpolicy", "p")
	c.resize("sized", "limits: {cpu: 250m}, requests: {cpu: 250m}")
	c.startKubelet()
	c.resized("sized", "250m", "64Mi", "0")
	c.await("the end of the deleted pod's instance", func() bool {
		r, err := c.stage.Cis(c.Context(), "", "ps", "-aq", "-l", "cis.io/pod-name=goes")
		return err == nil && r.Stdout == ""
	})
	c.await("the end of the deleted policy's group", func() bool { return len(c.ofPolicies()) == 0 })
	// The API server learns the node's new port with its status.
	c.await("exec", func() bool {
		out, code := c.kube("", "kubectl", "exec", "stays", "-c", "a", "--", "echo", "hi")
		return code == 0 && out == "hi\n"
	})
	c.equal("the container", c.get("pod/stays", ".status.containerStatuses[0].containerID"), id)
	c.equal("the debugger's start", c.get("pod/stays", since), debugger)
	c.equal("restarts", c.get("pod/stays", ".status.containerStatuses[0].restartCount"), "0")
}
