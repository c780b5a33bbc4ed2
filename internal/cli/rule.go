package cli

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cis/api"
)

// ruleHelp explains the one way in which commands take rules.
const ruleHelp = "A RULE is PROTOCOL[:PORTS][,PEER]: any, tcp, udp, icmp or icmpv6; a port or a range of ports, or\n" +
	"an ICMP type; and the other side, a CIDR or a security group. Without PEER it is everyone."

// parseRule reads PROTOCOL[:PORTS][,PEER].
func parseRule(s string) (api.Rule, error) {
	what, peer, hasPeer := strings.Cut(s, ",")
	protocol, ports, hasPorts := strings.Cut(what, ":")
	r := api.Rule{Protocol: api.Protocol(protocol)}
	switch {
	case protocol == "" || hasPorts && ports == "" || hasPeer && peer == "":
		return r, fmt.Errorf("%q is not a rule: use PROTOCOL[:PORTS][,PEER] such as tcp:80,10.0.0.0/8", s)
	case hasPorts && strings.HasPrefix(protocol, "icmp"):
		n, err := strconv.Atoi(ports)
		if err != nil {
			return r, fmt.Errorf("%q is not an ICMP type: use a number such as 8", ports)
		}
		r.ICMPType = &n
	default:
		r.Ports = ports
	}
	if ip, err := netip.ParseAddr(peer); err == nil {
		peer = netip.PrefixFrom(ip, ip.BitLen()).String()
	}
	if strings.Contains(peer, "/") {
		r.CIDR = peer
	} else {
		r.SecurityGroup = peer
	}
	return r, nil
}

// ruleText is a rule as parseRule reads it.
func ruleText(r api.Rule) string {
	text := string(r.Protocol)
	if p := rulePorts(r); p != "" {
		text += ":" + p
	}
	if p := r.CIDR + r.SecurityGroup; p != "" {
		text += "," + p
	}
	return text
}

// rulePorts are the ports, or the ICMP type.
func rulePorts(r api.Rule) string {
	if r.ICMPType != nil {
		return strconv.Itoa(*r.ICMPType)
	}
	return r.Ports
}

// rulesFlag adds a flag of rules, which "none" empties.
func rulesFlag(cmd *cobra.Command, rules *[]api.Rule, name, usage string) {
	cmd.Flags().Var(rulesValue{rules}, name, usage+" (may be repeated; none: no rule)")
}

type rulesValue struct{ rules *[]api.Rule }

func (v rulesValue) String() string { return "" }
func (v rulesValue) Type() string   { return "RULE" }

func (v rulesValue) Set(s string) error {
	if s == "none" {
		*v.rules = []api.Rule{}
		return nil
	}
	r, err := parseRule(s)
	*v.rules = append(*v.rules, r)
	return err
}
