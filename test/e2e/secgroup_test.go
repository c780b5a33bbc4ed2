package e2e

var groupTests = tests{
	"a change of rules reaches what runs": func(e *env) {
		_, subnet := e.aVPC()
		clients := e.make("secgroup", "--ingress", "none")
		servers := e.make("secgroup", "--ingress", "tcp:"+port1+","+clients, "--ingress", "tcp:"+port2+","+clients)
		server, address := e.echo("--subnet", subnet, "--secgroup", servers)
		client, _ := e.echo("--subnet", subnet, "--secgroup", clients)
		stranger, _ := e.echo("--subnet", subnet)

		stays, goes := e.talkFrom(client, address, port1), e.talkFrom(client, address, port2)
		e.isCutOff(stranger, address, port1)
		e.isCutOff(client, address, port3)

		e.ok("secgroup", "rule", "rm", servers, "ingress", "2")
		if goes.goesOn(deadAfter) {
			e.Error("a connection that is no longer allowed goes on")
		}
		e.isCutOff(client, address, port2)
		e.ok("secgroup", "rule", "add", servers, "ingress", "tcp:"+port3)
		e.greets(client, server, address, port3)
		e.greets(stranger, server, address, port3)
		if !stays.goesOn(livesWithin) {
			e.Error("a connection that stays allowed was cut")
		}
	},
	"what any of several groups lets pass does": func(e *env) {
		_, subnet := e.aVPC()
		one := e.make("secgroup", "--ingress", "tcp:"+port1+",10.9.1.0/24")
		two := e.make("secgroup", "--ingress", "tcp:"+port2+"-"+port2, "--egress", "none")
		closed := e.make("secgroup", "--ingress", "none", "--egress", "none")
		server, address := e.echo("--subnet", subnet, "--secgroup", one, "--secgroup", two)
		client, _ := e.echo("--subnet", subnet)
		silent, _ := e.echo("--subnet", subnet, "--secgroup", closed)
		e.greets(client, server, address, port1)
		e.greets(client, server, address, port2)
		e.isCutOff(client, address, port3)
		e.isCutOff(silent, address, port1)
		e.greets(server, server, server, port3) // itself, by its name
		e.ok("secgroup", "rule", "add", closed, "egress", "tcp:"+port1+","+one)
		e.greets(silent, server, address, port1)
		e.isCutOff(silent, address, port2)
	},
}
