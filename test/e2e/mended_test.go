package e2e

import (
	"os/exec"
	"strings"
)

// networksAreMended ends cisd at once, alone and after parts of the network were taken away
// by hand: traffic goes on, nothing that was recorded is lost, and what is missing is made
// anew.
func networksAreMended(e *env) {
	subnet, port, server, client := e.shop.back, e.shop.port, e.shop.server, e.shop.client
	e.ok("vpc", "update", e.shop.vpc, "--egress", "off")
	whole := func(after string) {
		e.Helper()
		if got := strings.Fields(e.greetingIn("", "127.0.0.1:"+port))[0]; got != server {
			e.Errorf("after %s the published port leads to %s", after, got)
		}
		e.greets(client, server, server, port1)
		e.areCutOff(client, e.shop.serverAddress+" "+port3, e.outside.address+" 80")
	}
	whole("the start")
	e.equal("the first free address", e.lasts(subnet), "10.9.2.2")

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
	whole("a crash")
	e.equal("the address least recently used", e.lasts(subnet), "10.9.2.3")
	e.saysWrong("network.address", "run", "--rm", "--subnet", subnet, "--ip", e.shop.serverAddress, e.stage.Image, "true")
	e.saysWrong(server, "run", "--rm", "-p", port+":80", e.stage.Image, "true")
	e.fails(1, []string{server}, "subnet", "rm", subnet)

	space := e.stage.Prefix + "-vpc-" + e.shop.vpc
	e.nft("", "delete table inet "+e.stage.Prefix)
	e.nft(space, "delete table inet "+e.stage.Prefix)
	e.ip("-n " + space + " link del uplink")
	e.crash()
	whole("the loss of rules and uplink")

	for _, link := range e.links(space, e.stage.Prefix+"-n") {
		e.ip("-n " + space + " link del " + link)
	}
	e.ip("netns del " + space)
	e.crash()
	for _, name := range []string{server, client} { // a sandbox does not get its link back
		e.ok("restart", "-t", "0", name)
		e.when(name, "running", running)
	}
	whole("the loss of the namespace and all in it")
}

// lasts is the address of an instance that ends and goes.
func (e *env) lasts(subnet string) string {
	e.Helper()
	name := e.start("--subnet", subnet, "--", "true")
	address := e.ended(name).Status.Address
	e.ok("rm", name)
	return address
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
