package e2e

import (
	"net"
	"slices"
	"strings"
	"time"

	"cis/api"
)

var addressTests = tests{
	"a public address is bound, moved under load, and unbound": func(e *env) {
		subnet, port := e.shop.front, e.freePort()
		group := e.make("secgroup", "--ingress", "tcp:"+port1+"-"+port2)
		address, other := e.make("address"), e.make("address")
		public := read[api.Address](e, "address", "inspect", address).Address
		a, _ := e.echo("--subnet", subnet, "--secgroup", group, "--public-address", address)
		b, _ := e.echo("--subnet", subnet, "--secgroup", group, "-p", port+":"+port1)
		target := net.JoinHostPort(public, port1)

		e.equal("in the record", e.get(a).Status.PublicAddress, public)
		e.equal("from beyond the host", e.greetingIn(e.outside.space, target), a+" "+e.outside.address)
		e.equal("from the host", strings.Fields(e.greetingIn("", target))[0], a)
		e.greets(b, a, public, port1)
		e.closed(e.outside.space, net.JoinHostPort(public, port3))
		e.equal("seen outside as", e.ok("exec", a, "wget", "-q", "-O-", "http://"+e.outside.address+"/"), "you are "+public)
		e.fails(1, []string{a}, "address", "rm", address)
		e.saysWrong(a, "address", "bind", other, a)

		c, long, _, err := dial(e.outside.space, net.JoinHostPort(e.outside.host, port))
		if err != nil {
			e.Fatal(err)
		}
		defer c.Close()
		moved, seen := make(chan struct{}), make(chan []string, 1)
		go func() {
			var all []string
			for n := 0; n < 3; {
				select {
				case <-moved:
					n++
				default:
				}
				if c, _, who, err := dial(e.outside.space, target); err == nil {
					c.Close()
					all = append(all, strings.Split(who, " ")[0])
				}
				time.Sleep(10 * time.Millisecond)
			}
			seen <- all
		}()
		time.Sleep(200 * time.Millisecond)
		e.ok("address", "bind", address, b)
		close(moved)
		all := <-seen
		if all = slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" }); !slices.Equal(all, []string{a, b}) {
			e.Errorf("who answered, in turn: %q", all)
		}
		if !long.goesOn(livesWithin) {
			e.Error("a connection of the new owner, by a port of the host, was cut")
		}
		e.equal("of the old owner", e.get(a).Status.PublicAddress, "")
		e.equal("of the new owner", e.get(b).Status.PublicAddress, public)
		e.equal("whose it is", read[api.Address](e, "address", "inspect", address).Instance, b)

		e.ok("address", "unbind", address)
		e.closed(e.outside.space, target)
		e.equal("seen outside without one", e.ok("exec", b, "wget", "-q", "-O-", "http://"+e.outside.address+"/"), "you are "+e.outside.host)
		e.ok("address", "rm", address)
	},
}
