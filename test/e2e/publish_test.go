package e2e

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

// freePort is a TCP port of the host that nobody has now.
func (e *env) freePort() string {
	e.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		e.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// askUDP sends to an address until it is answered.
func (e *env) askUDP(space, address string) (answer string) {
	e.Helper()
	e.until("an answer from "+address, func() bool {
		err := within(space, func() error {
			c, err := net.Dial("udp", address)
			if err != nil {
				return err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Second))
			fmt.Fprintln(c, "who")
			answer, err = bufio.NewReader(c).ReadString('\n')
			return err
		})
		return err == nil
	})
	return strings.TrimSpace(answer)
}

var publishTests = tests{
	"a published port is reached from everywhere": func(e *env) {
		neighbour := e.shop.client
		port, group := e.freePort(), e.make("secgroup", "--ingress", "none")
		loopback := e.freePort()
		// In the default VPC, where a waiting sandbox may be taken.
		name, address := e.echo("-p", "127.0.0.1:"+loopback+":"+port1, "--secgroup", group, "-p", port+":"+port1, "-p", port2, "-p", port3+"/udp")

		in := e.get(name)
		if len(in.Status.Ports) != 4 || in.Status.Ports[2].HostPort == 0 || in.Status.Ports[3].HostPort == 0 {
			e.Fatalf("ports in the status: %+v", in.Status.Ports)
		}
		free, udp := fmt.Sprint(in.Status.Ports[2].HostPort), fmt.Sprint(in.Status.Ports[3].HostPort)
		if text := e.ok("inspect", name); !strings.Contains(text, free) || !strings.Contains(text, udp) {
			e.Errorf("inspect does not tell the ports that were chosen:\n%s", text)
		}
		for _, p := range []string{port, free} {
			for _, from := range []struct{ space, address string }{{"", "127.0.0.1"}, {"", "localhost"}, {"", e.outside.host}, {e.outside.space, e.outside.host}} {
				got := e.greetingIn(from.space, net.JoinHostPort(from.address, p))
				if !strings.HasPrefix(got, name+" ") {
					e.Errorf("%s port %s from %q: %q", from.address, p, from.space, got)
				}
			}
			e.equal("seen by it", e.greetingIn(e.outside.space, net.JoinHostPort(e.outside.host, p)), name+" "+e.outside.address)
			e.greets(neighbour, name, e.outside.host, p)
			e.greets(name, name, e.outside.host, p)
		}
		for _, from := range []struct{ space, address string }{{"", "127.0.0.1"}, {"", e.outside.host}, {e.outside.space, e.outside.host}} {
			if got := e.askUDP(from.space, net.JoinHostPort(from.address, udp)); !strings.HasPrefix(got, name+" ") {
				e.Errorf("%s port %s/udp from %q: %q", from.address, udp, from.space, got)
			}
		}
		e.isCutOff(neighbour, address, port1) // the group still stops what does not come by the port

		e.equal("a port on loopback", strings.Fields(e.greetingIn("", "127.0.0.1:"+loopback))[0], name)
		e.closed("", net.JoinHostPort(e.outside.host, loopback))
		e.closed(e.outside.space, net.JoinHostPort(e.outside.host, loopback))

		e.saysWrong(name, "run", "--rm", "--isolation", e.isolation, "-p", port+":80", e.stage.Image, "true")
		e.ok("stop", "-t", "0", name)
		e.closed("", "127.0.0.1:"+port)
		e.ok("start", name)
		e.when(name, "running", running)
		e.equal("the port after a start", strings.Fields(e.greetingIn("", "127.0.0.1:"+port))[0], name)
		e.ok("rm", "-f", name)
		e.closed(e.outside.space, net.JoinHostPort(e.outside.host, free))
	},
	"a port that a program of the host has is refused": func(e *env) {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			e.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		e.saysWrong("port "+port, "run", "--rm", "--isolation", e.isolation, "-p", port+":80", e.stage.Image, "true")
	},
}
