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
// addresses; pods do by the public ones. Who comes from beyond the host, as with the address
// of its own network, is let in too, unless the operator changes the group of open pods or
// the Service names its clients. What was given to a Service goes with it.
func entry(c *cluster) {
	c.apply(entries)
	c.kubectl("wait", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}", "service/balanced", "--timeout=120s")
	public := c.get("service/balanced", ".status.loadBalancer.ingress[0].ip")
	c.equal("public address", public+"/32", pool)
	nodePort := c.get("service/ported", ".spec.ports[0].nodePort")
	for _, at := range []string{c.get("service/web", ".spec.clusterIP") + ":80", "127.0.0.1:" + nodePort, public + ":80"} {
		c.await("an answer at "+at, func() bool { return answersHost(at) })
	}
	c.answers("client", "http://"+public)
	for _, at := range []string{hostAddress(c.T) + ":" + nodePort, public + ":80"} {
		c.await("an answer to the outside at "+at, func() bool { return answersOutside(c, at) })
	}
	c.cis("secgroup", "rule", "add", "pods", "ingress", "any,pods")
	c.cis("secgroup", "rule", "rm", "pods", "ingress", "1")
	c.await("the operator shuts the pods", func() bool { return !answersOutside(c, public+":80") })
	c.answers("client", "http://web")
	c.cis("secgroup", "rule", "add", "pods", "ingress", "any")
	c.cis("secgroup", "rule", "rm", "pods", "ingress", "1")
	c.await("the operator opens them", func() bool { return answersOutside(c, public+":80") })
	sources(c, public+":80")

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

// sources: a Service of type LoadBalancer is for the networks that it names.
func sources(c *cluster, at string) {
	for _, step := range []struct {
		ranges string
		open   bool
	}{
		{`["198.51.100.0/24"]`, false}, {`["198.51.100.0/24", "` + hostAddress(c.T) + `/32"]`, true}, {`["198.51.100.0/24"]`, false}, {`null`, true},
	} {
		c.kubectl("patch", "service", "balanced", "-p", `{"spec":{"loadBalancerSourceRanges":`+step.ranges+`}}`)
		c.await("the Service for "+step.ranges, func() bool { return answersOutside(c, at) == step.open })
	}
}

// answersHost tells whether the host has an answer from there.
func answersHost(address string) bool { return answersFrom("", address) }

// answersOutside tells whether a client with the address of the host's network has one.
func answersOutside(c *cluster, address string) bool { return answersFrom(hostAddress(c.T), address) }

func answersFrom(local, address string) bool {
	dialer := net.Dialer{}
	if local != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + address)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && strings.HasPrefix(string(body), "web-")
}
