package test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// pool are the public addresses of cis: one, so that a second Service has none.
const pool = "203.0.113.9/32"

const entries = `
apiVersion: v1
kind: Service
metadata: {name: ported}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`

// entry: the host comes to Services by their own address, by node ports and by public
// addresses; pods do by the public ones. Who comes with another address, as that of the
// host's own network, is let in by the pods' security groups. What was given to a Service goes with it.
func entry(c *cluster) {
	c.apply(entries)
	c.kubectl("wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}", "service/balanced", "--timeout=60s")
	public := c.get("service/balanced", ".status.loadBalancer.ingress[0].ip")
	c.equal("public address", public+"/32", pool)
	nodePort := c.get("service/ported", ".spec.ports[0].nodePort")
	for _, at := range []string{c.get("service/web", ".spec.clusterIP") + ":80", "127.0.0.1:" + nodePort, public + ":80"} {
		c.await("an answer at "+at, func() bool { return answersHost(at) })
	}
	c.answers("client", "http://"+public)
	outside := hostAddress(c.T) + ":" + nodePort
	if answersHost(outside) {
		c.Error("pods that admit nobody from beyond the host answered")
	}
	c.cis("secgroup", "rule", "add", "default", "ingress", "tcp:8080")
	c.await("an answer at "+outside, func() bool { return answersHost(outside) })
	c.cis("secgroup", "rule", "rm", "default", "ingress", "2")

	c.kubectl("create", "service", "loadbalancer", "second", "--tcp=80:8080")
	c.await("the second Service is told that there is no address", func() bool {
		return strings.Contains(c.kubectl("get", "events", "--field-selector=involvedObject.name=second"), "SyncLoadBalancerFailed")
	})
	c.kubectl("delete", "service", "balanced")
	c.kubectl("wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}", "service/second", "--timeout=150s")
	c.kubectl("delete", "service", "second", "ported")
	c.await("the addresses are given back", func() bool { return !strings.Contains(c.cis("address", "ls"), public) })
	c.await("the node port is shut", func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+nodePort, time.Second)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// answersHost tells whether the host has an answer from there.
func answersHost(address string) bool {
	client := http.Client{Timeout: 3 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + address)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && strings.HasPrefix(string(body), "web-")
}
