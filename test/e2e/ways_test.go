package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"strings"

	"cis/api"
)

var wayTests = tests{
	"what leads to a VPC's router is led on by programs there": func(e *env) {
		vpc, subnet := e.aVPC()
		group := e.make("secgroup", "--ingress", "tcp:"+port1+","+e.outside.address)
		name, private := e.echo("--subnet", subnet, "--secgroup", group)
		client, _ := e.echo("--subnet", subnet)
		address, port := e.make("address"), e.freePort()
		public := read[api.Address](e, "address", "inspect", address).Address
		e.ok("vpc", "update", vpc, "-p", port+":30080", "--route", "172.30.0.0/24")
		e.ok("address", "bind", address, "--vpc", vpc)
		e.equal("bound to", read[api.Address](e, "address", "inspect", address).VPC, vpc)
		e.fails(1, []string{address, vpc}, "address", "rm", address)
		e.saysWrong("VPC "+vpc, "run", "--rm", "-p", port+":80", e.stage.Image, "true")
		target, published := net.JoinHostPort(public, "80"), net.JoinHostPort(e.outside.host, port)
		e.closed(e.outside.space, target)

		space := e.stage.Prefix + "-vpc-" + vpc
		for _, command := range []string{
			"add table ip proxy",
			"add chain ip proxy in { type nat hook prerouting priority dstnat; }",
			"add rule ip proxy in ip daddr { " + public + ", 172.30.0.9 } tcp dport 80 dnat to " + private + ":" + port1,
			"add rule ip proxy in iifname uplink tcp dport 30080 dnat to " + private + ":" + port1,
		} {
			e.nft(space, command)
		}
		for _, to := range []string{target, published} {
			e.equal("beyond the host sees "+to, e.greetingIn(e.outside.space, to), name+" "+e.outside.address)
			e.closed("", to) // the group decides
		}
		e.isCutOff(client, public, "80")
		e.ok("secgroup", "rule", "add", group, "ingress", "tcp:"+port1)
		for _, to := range []string{target, published, "172.30.0.9:80", "127.0.0.1:" + port} {
			e.equal("the host sees "+to, strings.Fields(e.greetingIn("", to))[0], name)
		}
		e.greets(client, name, public, "80")

		e.ok("address", "unbind", address)
		e.ok("vpc", "update", vpc, "-p", "none", "--route", "none")
		e.closed(e.outside.space, target)
		e.closed(e.outside.space, published)
		route, err := exec.Command("ip", "route", "show", "172.30.0.0/24").CombinedOutput()
		e.equal("the route that is left", string(route)+fmt.Sprint(err), "<nil>")
	},
}
