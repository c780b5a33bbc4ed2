package test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// hostPorts: a port of the host leads to a pod, and policies judge who comes by it.
func hostPorts(c *cluster, class string) {
	name, port := "port-"+class, freePort(c.T)
	listening := fmt.Sprintf(`image: IMAGE, ports: [{containerPort: 8080, hostPort: %d}],`, port)
	c.apply(strings.Replace(pod(name, "mkdir /www && echo web-x >/www/index.html && exec httpd -f -p 8080 -h /www", "runtimeClassName: "+class), "image: IMAGE,", listening, 1))
	c.kubectl("label", "pod", name, "port=host")
	c.kubectl("wait", "--for=condition=Ready", "pod/"+name, "--timeout=120s")
	host := hostAddress(c.T)
	at := net.JoinHostPort(host, strconv.Itoa(port))
	for _, step := range []struct {
		why, rules string
		want       bool
	}{
		{"nobody", `[]`, false},
		{"another block", `[{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]`, false},
		{"its block", `[{from: [{ipBlock: {cidr: ` + host + `/32}}]}]`, true},
		{"a hole in the block", `[{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [` + host + `/32]}}]}]`, false},
		{"everybody", `[{}]`, true},
	} {
		c.policy("{podSelector: {matchLabels: {port: host}}, policyTypes: [Ingress], ingress: " + step.rules + "}")
		c.await(step.why, func() bool { return answersOutside(c, at) == step.want })
	}
	c.kubectl("delete", "networkpolicy", "p")
	c.await("no policy", func() bool { return answersOutside(c, at) })
	if !answersHost(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) {
		c.Error("the node does not reach its own port")
	}
	c.kubectl("delete", "pod", name)
}
