package e2e

import (
	"net"
	"strings"

	"cis/api"
)

var egressTests = tests{
	"what an instance reaches outside changes live": func(e *env) {
		vpc, subnet := e.aVPC()
		name := e.start("--subnet", subnet, "--", "sleep", "1000")
		page := func() string { return e.cis("exec", name, "wget", "-q", "-O-", "http://"+e.outside.address+"/").Stdout }
		e.equal("on", page(), "you are "+e.outside.host)
		e.ok("vpc", "update", vpc, "--egress", "off")
		v := e.verdict(name, e.outside.address, "80")
		if v.Allowed || v.Tried != api.TryUnreachable || !strings.Contains(v.Steps[len(v.Steps)-1].By, "egress is off in "+vpc) {
			e.Errorf("net check with egress off: %+v", v)
		}
		if r := e.cis("exec", name, "nslookup", name); r.Code != 0 {
			e.Errorf("names of the VPC do not resolve with egress off: %s%s", r.Stdout, r.Stderr)
		}
		e.ok("vpc", "update", vpc, "--egress", "rules", "--allow", "tcp:443")
		e.isCutOff(name, e.outside.address, "80")
		e.ok("vpc", "update", vpc, "--allow", "tcp:80,"+e.outside.address)
		e.equal("by a rule", page(), "you are "+e.outside.host)
		e.equal("mode on record", read[api.VPC](e, "vpc", "inspect", vpc).Egress.Mode, api.EgressRules)
		e.ok("vpc", "update", vpc, "--egress", "on", "--allow", "none")

		// The host's own and link-local addresses only where they are opened.
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			e.Fatal(err)
		}
		serveCallers(e, l)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		// Not the one of metadata services: this host may have one.
		linkLocal := "169.254." + strings.TrimSuffix(strings.TrimPrefix(e.outside.host, "198.18."), ".1") + ".254"
		link := e.stage.Prefix + "-out"
		e.ip("-n " + link + " address add " + linkLocal + "/32 dev eth0")
		e.ip("route add " + linkLocal + "/32 dev " + link)
		serveCallers(e, listenIn(e, e.outside.space, linkLocal+":80"))

		pageOf := func(address, port string) string {
			return e.ok("exec", name, "wget", "-q", "-O-", "http://"+net.JoinHostPort(address, port)+"/")
		}
		closed := func() {
			e.Helper()
			e.areCutOff(name, e.outside.host+" "+port, linkLocal+" 80", "169.254.169.254 80")
		}
		closed()
		e.ok("vpc", "update", vpc, "--allow", "tcp,0.0.0.0/0") // which opens none of them
		closed()
		e.ok("vpc", "update", vpc, "--allow", "tcp:"+port+","+e.outside.host, "--allow", "tcp:80,"+linkLocal)
		if got := pageOf(e.outside.host, port); !strings.HasPrefix(got, "you are ") {
			e.Errorf("the host's service, opened: %q", got)
		}
		e.equal("the link-local address, opened", pageOf(linkLocal, "80"), "you are "+e.outside.host)
		e.ok("vpc", "update", vpc, "--allow", "none")
		closed()
	},
}
