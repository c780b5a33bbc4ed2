package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"cis/api"
)

// verdict is what `net check` says.
func (e *env) verdict(from, to, port string) (v api.NetworkVerdict) {
	e.Helper()
	r := e.cis("net", "check", from, to, port, "-o", "json")
	if err := json.Unmarshal([]byte(r.Stdout), &v); err != nil {
		e.Fatalf("cis net check: %v\n%s", err, r.Stderr)
	}
	return v
}

var checkTests = tests{
	"a check tells the rule, and tries": func(e *env) {
		vpc, client, clientAddress := e.shop.vpc, e.shop.client, e.shop.clientAddress
		group := e.make("secgroup", "--ingress", "tcp:"+port1+",default", "--ingress", "udp:"+port1, "--ingress", "tcp:9999")
		server, address := e.echo("--subnet", e.shop.front, "--secgroup", group)
		for _, test := range []struct {
			to, port string
			code     int
			by       string
			tried    api.TryResult
		}{
			{server, port1, 0, "ingress rule 1 of " + group, api.TryConnected},
			{address, port1, 0, "ingress rule 1 of " + group, api.TryConnected},
			{server, port1 + "/udp", 0, "ingress rule 2 of " + group, api.TryAnswered},
			{server, "9999", 0, "ingress rule 3 of " + group, api.TryRefused},
			{server, port2, 1, "no rule of " + group, api.TryNoAnswer},
			{e.outside.address, "80", 0, "egress is on in " + vpc, api.TryConnected},
			{"169.254.169.254", "80", 1, "169.254.0.0/16", api.TryUnreachable},
		} {
			v := e.verdict(client, test.to, test.port)
			if v.Allowed != (test.code == 0) || v.Tried != test.tried || !strings.Contains(fmt.Sprint(v.Steps), test.by) {
				e.Errorf("check of %s port %s: %+v", test.to, test.port, v)
			}
			if r := e.cis("net", "check", client, test.to, test.port); r.Code != test.code || !strings.Contains(r.Stdout, test.by) {
				e.Errorf("check of %s port %s: exit code %d\n%s%s", test.to, test.port, r.Code, r.Stdout, r.Stderr)
			}
		}

		flows := map[string]api.Flow{}
		for _, f := range read[[]api.Flow](e, "vpc", "flows", vpc) {
			flows[fmt.Sprintf("%s>%s %s/%d %v", f.SourceInstance, f.DestinationInstance, f.Protocol, f.Port, f.Allowed)] = f
		}
		for _, key := range []string{
			fmt.Sprintf("%s>%s tcp/%s true", client, server, port1), fmt.Sprintf("%s>%s udp/%s true", client, server, port1),
			fmt.Sprintf("%s>%s tcp/%s false", client, server, port2), fmt.Sprintf("%s> tcp/80 true", client), fmt.Sprintf("%s> tcp/80 false", client),
		} {
			if f := flows[key]; f.Source != clientAddress || f.Connections < 1 || f.LastSeen.IsZero() {
				e.Errorf("flow %s: %+v of %v", key, f, flows)
			}
		}
		if text := e.ok("vpc", "flows", vpc); !strings.Contains(text, server+" ("+address+")") || !strings.Contains(text, "dropped") {
			e.Errorf("cis vpc flows:\n%s", text)
		}
		_, metrics := e.http("GET", "/metrics", "")
		for _, way := range []string{"receive", "transmit"} {
			sample := regexp.MustCompile(fmt.Sprintf(`(?m)^cis_instance_%s_bytes_total{.*name="%s".*vpc="%s".*} (\S+)$`, way, client, vpc))
			found := sample.FindStringSubmatch(metrics)
			if found == nil {
				e.Errorf("no metric of what %s did %s", client, way)
				continue
			}
			if bytes, err := strconv.ParseFloat(found[1], 64); err != nil || bytes < 100 {
				e.Errorf("%s: %v", found[0], err)
			}
		}
		if s := read[[]api.Stats](e, "stats", "--no-stream", client); len(s) != 1 || s[0].RxBytes < 100 || s[0].TxBytes < 100 {
			e.Errorf("cis stats: %+v", s)
		}
	},
}
