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
	"an instance that runs changes its groups": func(e *env) {
		client := e.shop.client
		first := e.make("secgroup", "--ingress", "tcp:"+port1)
		next := e.make("secgroup", "--ingress", "tcp:"+port2, "--ingress", "tcp:"+port1+",10.9.1.0/24")
		server, address := e.echo("--subnet", e.shop.front, "--secgroup", first)
		e.greets(client, server, address, port1)
		e.isCutOff(client, address, port2)
		stays := e.talkFrom(client, address, port1)
		e.equal("printed", e.ok("update", "--secgroup", next, server), server+"\n")
		e.greets(client, server, address, port2)
		if !stays.goesOn(livesWithin) {
			e.Error("a connection that the new group allows too was cut")
		}
		e.equal("removed, since nobody uses it", e.ok("secgroup", "rm", first), first+"\n")
		e.fails(1, []string{server}, "secgroup", "rm", next)
		goes := e.talkFrom(client, address, port2)
		e.ok("update", "--secgroup", e.make("secgroup", "--ingress", "none"), server)
		if goes.goesOn(deadAfter) {
			e.Error("a connection that the new group does not allow goes on")
		}
		e.equal("restarts", e.get(server).Status.ContainerStatuses[0].RestartCount, 0)
		e.saysWrong("--secgroup", "update", server)
		e.saysWrong("no security group", "update", "--secgroup", "nosuch", server)
	},
}
