package e2e

import (
	"net"
	"slices"
	"strings"
	"sync"
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
		answered := e.callers(target)
		e.until("the old owner answers", func() bool { return slices.Contains(answered(), a) })
		e.ok("address", "bind", address, b)
		e.until("the new owner answers", func() bool { return slices.Contains(answered(), b) })
		e.equal("from beyond the host, from now on", e.greetingIn(e.outside.space, target), b+" "+e.outside.address)
		if all := answered(); !slices.Equal(all, []string{a, b}) {
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

// callers dial an address from beyond the host, again and again until the test ends. Its result tells who answered so
// far, in turn, each once in a row.
func (e *env) callers(address string) (answered func() []string) {
	var mu sync.Mutex
	var all []string
	done, ended := make(chan struct{}), make(chan struct{})
	e.Cleanup(func() { close(done); <-ended })
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
			c, _, greeting, err := dial(e.outside.space, address)
			if err != nil {
				continue
			}
			c.Close()
			if who, _, _ := strings.Cut(greeting, " "); who != "" {
				mu.Lock()
				all = slices.Compact(append(all, who))
				mu.Unlock()
			}
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}
