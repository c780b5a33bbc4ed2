package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"cis/api"
)

// TestNetworksOutliveCisd ends cisd at once: no traffic stops, and nothing of what it knew
// is lost.
func TestNetworksOutliveCisd(t *testing.T) {
	for _, isolation := range isolations {
		t.Run(isolation, func(t *testing.T) { networksOutliveCisd(networkStage(t, isolation, "-standby", "0")) })
	}
}

func networksOutliveCisd(e *env) {
	vpc := e.make("vpc", "--cidr", "10.9.0.0/16", "--host-reachable")
	subnet := e.make("subnet", "--vpc", vpc, "--cidr", "10.9.1.0/28")
	port := e.freePort()
	server, address := e.echo("--subnet", subnet, "--ip", "10.9.1.9", "-p", port+":"+port1)
	client, clientAddress := e.echo("--subnet", subnet)
	e.equal("fixed address", address, "10.9.1.9")
	e.equal("first free address", clientAddress, "10.9.1.2")
	e.equal("the next", e.lasts(subnet), "10.9.1.3")

	c, published, _, err := dial("", "127.0.0.1:"+port)
	if err != nil {
		e.Fatal(err)
	}
	defer c.Close()
	if err := e.stage.Kill(); err != nil {
		e.Fatal(err)
	}
	if !published.goesOn(livesWithin) {
		e.Error("a connection to a published port was cut when cisd ended")
	}
	e.equal("the published port without cisd", strings.Fields(e.greetingIn("", "127.0.0.1:"+port))[0], server)
	e.again()
	if !published.goesOn(livesWithin) {
		e.Error("a connection to a published port was cut when cisd came back")
	}
	e.greets(client, server, server, port1)
	e.equal("the address least recently used", e.lasts(subnet), "10.9.1.4")
	e.equal("fixed address", e.get(server).Status.Address, "10.9.1.9")
	e.saysWrong("network.address", "run", "--rm", "--subnet", subnet, "--ip", address, e.stage.Image, "true")
	e.saysWrong(server, "run", "--rm", "-p", port+":80", e.stage.Image, "true")
	e.fails(1, []string{server, client}, "subnet", "rm", subnet)
}

// lasts is the address of an instance that ends and goes.
func (e *env) lasts(subnet string) string {
	e.Helper()
	name := e.start("--subnet", subnet, "--", "true")
	address := e.ended(name).Status.Address
	e.ok("rm", name)
	return address
}

// TestNetworksAreMended takes parts of the network away by hand; cisd, which is ended in
// the middle, makes them anew.
func TestNetworksAreMended(t *testing.T) {
	for _, isolation := range isolations {
		t.Run(isolation, func(t *testing.T) {
			e := networkStage(t, isolation, "-standby", "0")
			vpc := e.make("vpc", "--cidr", "10.9.0.0/16", "--egress", "off")
			subnet := e.make("subnet", "--vpc", vpc, "--cidr", "10.9.1.0/24")
			group := e.make("secgroup", "--ingress", "tcp:"+port1)
			port := e.freePort()
			server, address := e.echo("--subnet", subnet, "--secgroup", group, "-p", port+":"+port1)
			client, _ := e.echo("--subnet", subnet)
			whole := func(what string) {
				e.Helper()
				e.Log("after ", what)
				e.equal("the published port", strings.Fields(e.greetingIn("", "127.0.0.1:"+port))[0], server)
				e.greets(client, server, server, port1)
				e.isCutOff(client, address, port2)
			}
			whole("nothing")

			for _, space := range []string{"", e.stage.Prefix + "-vpc-" + vpc} {
				e.breaks(func() { e.nft(space, "delete table inet "+e.stage.Prefix) })
				whole("the rules in " + space)
			}
			space := e.stage.Prefix + "-vpc-" + vpc
			e.breaks(func() {
				for _, link := range e.links(space, e.stage.Prefix+"-n") {
					e.ip("-n " + space + " link del " + link)
				}
			})
			e.restarted(server, client)
			whole("the instances' links")

			e.breaks(func() { e.ip("-n " + space + " link del uplink") })
			whole("the uplink")

			e.breaks(func() { e.ip("netns del " + space) })
			e.restarted(server, client)
			whole("the namespace")
		})
	}
}

// breaks changes the host by hand, with cisd ended at once and started again.
func (e *env) breaks(change func()) {
	e.Helper()
	change()
	e.crash()
}

// restarted restarts instances, which a sandbox whose link was lost needs.
func (e *env) restarted(instances ...string) {
	e.Helper()
	for _, name := range instances {
		e.ok("restart", "-t", "0", name)
		e.when(name, "running", func(in api.Instance) bool { return running(in) && in.Status.Ready })
	}
}

// links in a namespace whose names have that beginning.
func (e *env) links(space, prefix string) (names []string) {
	e.Helper()
	out, err := exec.Command("ip", "-n", space, "-br", "link").Output()
	if err != nil {
		e.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if name, _, _ := strings.Cut(strings.Fields(line)[0], "@"); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// nft runs a command of nftables in a namespace; the empty name is the host's own.
func (e *env) nft(space, command string) {
	e.Helper()
	args := append([]string{"nft"}, strings.Fields(command)...)
	if space != "" {
		args = append([]string{"ip", "netns", "exec", space}, args...)
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		e.Fatalf("%q: %v\n%s", args, err, out)
	}
}
