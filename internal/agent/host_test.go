package agent_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// A host that is not the instance is asked from inside.
func TestProbesOfAnotherHost(t *testing.T) {
	for name, h := range map[string]api.Handler{
		"http": {HTTPGet: &api.HTTPGetAction{Host: "192.0.2.1", Port: 80}},
		"tcp":  {TCPSocket: &api.TCPSocketAction{Host: "2001:db8::1", Port: 80}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.rt.Listen(80, func(c net.Conn) {
				defer c.Close()
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil && req.Host == "192.0.2.1:80" {
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			c := container("sleep")
			c.ReadinessProbe = &api.Probe{Handler: h, PeriodSeconds: 60, TimeoutSeconds: 5}
			r.run(api.RestartNever, c)
			r.until("ready", func(s agentpb.State) bool { return running(s) && s.Containers[0].Ready })
		})
	}
}
