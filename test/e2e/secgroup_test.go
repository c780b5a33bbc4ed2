package e2e

var groupTests = tests{
	"rules of several groups, and their change while all runs": func(e *env) {
		subnet, stranger := e.shop.front, e.shop.client
		clients := e.make("secgroup", "--ingress", "none", "--egress", "none")
		one := e.make("secgroup", "--ingress", "tcp:"+port1+","+clients, "--ingress", "tcp:"+port2+","+clients)
		two := e.make("secgroup", "--ingress", "tcp:"+port3+",10.9.1.0/24", "--egress", "none")
		server, address := e.echo("--subnet", subnet, "--secgroup", one, "--secgroup", two)
		client, _ := e.echo("--subnet", subnet, "--secgroup", clients)

		e.isCutOff(client, address, port1) // its own group lets nothing out
		e.ok("secgroup", "rule", "add", clients, "egress", "tcp,"+two)
		stays, goes := e.talkFrom(client, address, port1), e.talkFrom(client, address, port2)
		e.greets(client, server, address, port3)
		e.greets(stranger, server, address, port3)
		e.isCutOff(stranger, address, port1)

		// A rule is in force when the command ends.
		e.ok("secgroup", "rule", "rm", one, "ingress", "2")
		if goes.goesOn(deadAfter) {
			e.Error("a connection that is no longer allowed goes on")
		}
		e.isCutOff(client, address, port2)
		e.ok("secgroup", "rule", "add", one, "ingress", "tcp:"+port2+"-9999,default")
		e.greets(stranger, server, server, port2)
		e.isCutOff(client, address, port2)
		if !stays.goesOn(livesWithin) {
			e.Error("a connection that stays allowed was cut")
		}
	},
}
