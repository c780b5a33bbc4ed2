package test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A second namespace with a pod, and a way for who is outside.
const guests = `
apiVersion: v1
kind: Namespace
metadata: {name: guests, labels: {team: guests}}
---
apiVersion: v1
kind: Pod
metadata: {name: guest, namespace: guests}
spec:
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  containers: [{name: a, image: IMAGE, command: [sleep, "100000"]}]
---
apiVersion: v1
kind: Service
metadata: {name: gate}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`

const friend = `
apiVersion: v1
kind: Pod
metadata: {name: friend, labels: {role: friend}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: a, image: IMAGE, command: [sleep, "100000"]}]
`

// Who may try to reach the pods of web; each comes by a Service.
var (
	everybody = []string{"client", "friend", "guest", "outside"}
	nobody    []string
)

// reaches tells whether one of everybody has an answer from web.
func (c *cluster) reaches(who, gate string) bool {
	if who == "outside" {
		return answersOutside(c, gate)
	}
	args := []string{"kubectl", "exec", who, "--", "timeout", "2", "wget", "-q", "-O", "-", "http://web.default"}
	if who == "guest" {
		args = slices.Insert(args, 1, "-n", "guests")
	}
	_, code := c.kube("", args...)
	return code == 0
}

// expectReach: it comes to be so that just these reach web.
func (c *cluster) expectReach(why string, want []string) {
	c.Helper()
	gate := hostAddress(c.T) + ":" + c.get("service/gate", ".spec.ports[0].nodePort")
	c.await(fmt.Sprintf("%s: %v reach web", why, want), func() bool {
		var asking sync.WaitGroup
		reach := make([]bool, len(everybody))
		for i, who := range everybody {
			asking.Go(func() { reach[i] = c.reaches(who, gate) })
		}
		asking.Wait()
		for i, who := range everybody {
			if reach[i] != slices.Contains(want, who) {
				return false
			}
		}
		return true
	})
}

// policy puts one in the place of the one before.
func (c *cluster) policy(spec string) {
	c.Helper()
	text := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: " + spec
	if out, code := c.kube(text, "kubectl", "apply", "-f", "-"); code != 0 {
		c.Fatal(out)
	}
}

// ofPolicies are the security groups that policies are.
func (c *cluster) ofPolicies() (names []string) {
	c.Helper()
	for line := range strings.Lines(c.cis("secgroup", "list")) {
		if name := strings.Fields(line)[0]; strings.HasPrefix(name, "pods-") {
			names = append(names, name)
		}
	}
	return names
}

// policies: network policies hold, for pods that run and for each change, and without them
// pods are open to everybody.
func policies(c *cluster) {
	c.apply(guests + "---" + friend)
	c.kubectl("wait", "--for=condition=Ready", "pod/friend", "--timeout=120s")
	c.kubectl("wait", "--for=condition=Ready", "pod/guest", "-n", "guests", "--timeout=120s")
	c.expectReach("no policy", everybody)
	c.T.Run("ingress", func(t *testing.T) { in := *c; in.T = t; ingressPolicies(&in) })
	c.T.Run("egress", func(t *testing.T) { in := *c; in.T = t; egressPolicies(&in) })
	c.kubectl("delete", "networkpolicies", "--all")
	c.expectReach("the policies are gone", everybody)
	c.await("the groups of policies are gone", func() bool { return len(c.ofPolicies()) == 0 })
	c.kubectl("delete", "service/gate", "pod/friend", "namespace/guests")
}

func ingressPolicies(c *cluster) {
	to := func(rules string) string {
		return "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: " + rules + "}"
	}
	host := hostAddress(c.T)
	for _, step := range []struct {
		why, rules string
		want       []string
	}{
		{"nobody", `[]`, nobody},
		{"a label", `[{from: [{podSelector: {matchLabels: {role: friend}}}]}]`, []string{"friend"}},
		{"a namespace", `[{from: [{namespaceSelector: {matchLabels: {team: guests}}}]}]`, []string{"guest"}},
		{"its own namespace", `[{from: [{podSelector: {}}]}]`, []string{"client", "friend"}},
		{"a block", `[{from: [{ipBlock: {cidr: ` + host + `/32}}]}]`, []string{"outside"}},
		{"a block with a hole", `[{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [` + host + `/32]}}]}]`, []string{"client", "friend", "guest"}},
		{"another port", `[{ports: [{port: 8081}]}]`, nobody},
		{"a range", `[{ports: [{port: 8000, endPort: 8999}]}]`, everybody},
		{"another range", `[{ports: [{port: 8081, endPort: 8999}]}]`, nobody},
		{"a port with a name, for a label", `[{from: [{podSelector: {matchLabels: {role: friend}}}], ports: [{port: http}]}]`, []string{"friend"}},
		{"another protocol", `[{ports: [{port: 8080, protocol: UDP}]}]`, nobody},
	} {
		c.policy(to(step.rules))
		c.expectReach(step.why, step.want)
	}
	// The node itself gets there always, as it has to for probes.
	if ip := c.get("pods", ".items[?(@.metadata.labels.app=='web')].status.podIP"); !answersHost(strings.Fields(ip)[0] + ":8080") {
		c.Error("the node does not reach a pod that admits nobody")
	}

	// Labels of pods and namespaces count as they are now.
	c.policy(to(`[{from: [{podSelector: {matchLabels: {role: friend}}}, {namespaceSelector: {matchLabels: {team: guests}}}]}]`))
	c.expectReach("friends and guests", []string{"friend", "guest"})
	c.kubectl("label", "pod", "friend", "role-")
	c.kubectl("label", "pod", "client", "role=friend")
	c.kubectl("label", "namespace", "guests", "team=others", "--overwrite")
	c.expectReach("other friends", []string{"client"})
	c.kubectl("label", "pod", "friend", "role=friend")
	c.kubectl("label", "pod", "client", "role-")
	c.kubectl("label", "namespace", "guests", "team=guests", "--overwrite")
	c.expectReach("friends and guests again", []string{"friend", "guest"})

	// A pod that comes is as isolated, and as welcome, as those that are there.
	c.kubectl("scale", "deployment/web", "--replicas=0")
	c.kubectl("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=120s")
	c.kubectl("scale", "deployment/web", "--replicas=2")
	c.kubectl("delete", "pod", "friend")
	c.apply(friend)
	c.kubectl("wait", "--for=condition=Ready", "pod/friend", "--timeout=120s")
	c.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	c.expectReach("new pods", []string{"friend", "guest"})

	c.policy(to(`[{ports: [{port: 8080, protocol: SCTP}]}]`))
	c.await("the policy is told what of it is not in force", func() bool {
		return strings.Contains(c.kubectl("get", "events", "--field-selector=involvedObject.kind=NetworkPolicy"), "PartlyInForce")
	})
}

func egressPolicies(c *cluster) {
	const (
		dns = `{to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}`
		api = `{to: [{ipBlock: {cidr: 198.18.0.1/32}}], ports: [{port: 443}]}`
		it  = `{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}]}`
	)
	answers := func(args ...string) func() bool {
		return func() bool {
			_, code := c.kube("", append([]string{"kubectl", "exec", "client", "--", "timeout", "3"}, args...)...)
			return code == 0
		}
	}
	lookUp := answers("nslookup", "web.default.svc.cluster.local")
	call := answers("nc", "-w", "2", "10.96.0.1", "443")
	web := answers("wget", "-q", "-O", "-", "http://web")
	for _, step := range []struct {
		why, rules                    string
		findsNames, findsAPI, findsIt bool
	}{
		{"nothing", "", false, false, false},
		{"names", dns, true, false, false},
		{"names and web", dns + ", " + it, true, false, true},
		{"names and the API server", dns + ", " + api, true, true, false},
		{"everything", "{}", true, true, true},
	} {
		c.policy("{podSelector: {matchLabels: {run: client}}, policyTypes: [Egress], egress: [" + step.rules + "]}")
		c.await(step.why+": names", func() bool { return lookUp() == step.findsNames })
		c.await(step.why+": the API server", func() bool { return call() == step.findsAPI })
		c.await(step.why+": web", func() bool { return web() == step.findsIt })
	}
	c.expectReach("only the client is isolated", everybody)
}
