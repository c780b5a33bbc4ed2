package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var vpcs = resource[api.VPC]{
	command: "vpc", many: "VPCs", example: "shop",
	header: []string{"NAME", "ID", "CIDR", "EGRESS", "HOST", "AGE"},
	row: func(v api.VPC, now time.Time) []string {
		return []string{v.Name, v.ID, v.CIDR, string(v.Egress.Mode), yesNo(v.HostReachable), since(now, v.CreatedAt)}
	},
	show:    (*description).vpc,
	name:    func(v api.VPC) string { return v.Name },
	account: func(v api.VPC) string { return v.Account },
	list:    (*client.Client).VPCs, get: (*client.Client).VPC, remove: (*client.Client).RemoveVPC,
}

func (d *description) vpc(v api.VPC) {
	d.line("Name", v.Name)
	d.line("ID", v.ID)
	d.lines("Labels", sortedPairs(v.Labels))
	d.line("Created", d.time(&v.CreatedAt))
	d.line("CIDR", v.CIDR)
	d.line("IPv6", v.CIDR6)
	d.line("Domain", v.Name+".internal")
	d.line("Host may enter", yesNo(v.HostReachable))
	d.line("Egress", string(v.Egress.Mode))
	d.lines("Allowed", mapText(v.Egress.Allow, ruleText))
	d.lines("Published ports", mapText(v.Ports, publishedText))
	d.lines("Routes", v.Routes)
}

func (a *app) vpcCommand() *cobra.Command {
	cmd := vpcs.parent("Make and change private networks",
		"Make and change VPCs: private networks, each with its own ranges, names and way to the outside.\n"+
			"Instances of different VPCs never reach each other.", `
cis vpc create shop --cidr 10.1.0.0/16
cis subnet create front --vpc shop --cidr 10.1.1.0/24
cis run --vpc shop nginx`)
	cmd.AddCommand(a.vpcCreateCommand(), a.vpcUpdateCommand(), vpcs.listCommand(a), vpcs.inspectCommand(a), vpcs.rmCommand(a), a.vpcFlowsCommand())
	return cmd
}

func (a *app) vpcCreateCommand() *cobra.Command {
	var v api.VPC
	var out format
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a VPC",
		Long: "Make a VPC. Its range holds those of its subnets; VPCs may have equal ranges.\n\n" + ruleHelp,
		Example: example(`
cis vpc create shop --cidr 10.1.0.0/16
cis vpc create vault --cidr 10.1.0.0/16 --egress off
cis vpc create job --cidr 10.2.0.0/16 --egress rules --allow tcp:443 --allow udp:53,1.1.1.1`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			v.Name = args[0]
			made, err := c.CreateVPC(cmd.Context(), v)
			if err != nil {
				return err
			}
			return vpcs.printMade(a, made, out)
		},
	}
	cmd.Flags().StringVar(&v.CIDR, "cidr", "", "private IPv4 range, such as 10.1.0.0/16")
	cmd.Flags().BoolVar(&v.HostReachable, "host-reachable", false, "let the host itself connect to the instances")
	egressFlags(cmd, &v.Egress)
	wayFlags(cmd, &v.Ports, &v.Routes)
	labelFlag(cmd, &v.Labels)
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func egressFlags(cmd *cobra.Command, e *api.Egress) {
	cmd.Flags().StringVar((*string)(&e.Mode), "egress", "", "what instances reach outside: on, off or rules (default on)")
	rulesFlag(cmd, &e.Allow, "allow", "what --egress rules lets out; with on, an address of the host or a link-local one to open")
	// The flag exists, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("egress", cobra.FixedCompletions([]string{"on", "off", "rules"}, cobra.ShellCompDirectiveNoFileComp))
}

func (a *app) vpcUpdateCommand() *cobra.Command {
	var egress api.Egress
	var reachable bool
	var labels map[string]string
	var ports []api.PublishedPort
	var routes []string
	var out format
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a VPC, live",
		Long: "Change what instances of a VPC reach outside, whether the host reaches them, and what leads to its\n" +
			"router. What no flag names stays; --allow, --publish, --route and --label replace all there were.\n\n" + ruleHelp,
		Example: example(`
cis vpc update shop --egress off
cis vpc update shop --egress rules --allow tcp:443 --allow any,10.9.0.0/16
cis vpc update shop --host-reachable=false
cis vpc update shop --publish 30080 --route 10.96.0.0/16`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: vpcs.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			before, err := c.VPC(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			u := api.VPCUpdate{Labels: labels, Ports: ports, Routes: routes, Revision: before.Revision}
			if cmd.Flags().Changed("host-reachable") {
				u.HostReachable = &reachable
			}
			if egress.Mode != "" || egress.Allow != nil {
				u.Egress = mergeEgress(before.Egress, egress)
			}
			changed, err := c.UpdateVPC(cmd.Context(), args[0], u)
			if err != nil {
				return err
			}
			return vpcs.printMade(a, changed, out)
		},
	}
	cmd.Flags().BoolVar(&reachable, "host-reachable", false, "let the host itself connect to the instances")
	egressFlags(cmd, &egress)
	wayFlags(cmd, &ports, &routes)
	labelFlag(cmd, &labels)
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

// wayFlags are what leads to the VPC's router.
func wayFlags(cmd *cobra.Command, ports *[]api.PublishedPort, routes *[]string) {
	cmd.Flags().VarP(routerPortsValue{ports}, "publish", "p", "port of the host that leads to one of the VPC's router, for programs in its namespace; without HOSTPORT the same (may be repeated; none: no port)")
	cmd.Flags().Var(routesValue{routes}, "route", "private network that the host reaches over the VPC's router (may be repeated; none: no route)")
}

type routerPortsValue struct{ ports *[]api.PublishedPort }

func (v routerPortsValue) String() string { return "" }
func (v routerPortsValue) Type() string   { return "[[HOST:]HOSTPORT:]PORT[/udp]" }

func (v routerPortsValue) Set(s string) error {
	if s == "none" {
		*v.ports = []api.PublishedPort{}
		return nil
	}
	p, err := parsePublished(s)
	if p.HostPort == 0 {
		p.HostPort = p.Port
	}
	*v.ports = append(*v.ports, p)
	return err
}

type routesValue struct{ routes *[]string }

func (v routesValue) String() string { return "" }
func (v routesValue) Type() string   { return "CIDR" }

func (v routesValue) Set(s string) error {
	if s == "none" {
		*v.routes = []string{}
		return nil
	}
	*v.routes = append(*v.routes, s)
	return nil
}

// mergeEgress keeps what the flags do not name; nothing is allowed where egress is off.
func mergeEgress(before, flags api.Egress) *api.Egress {
	if flags.Mode != "" {
		before.Mode = flags.Mode
	}
	switch {
	case flags.Allow != nil:
		before.Allow = flags.Allow
	case flags.Mode == api.EgressOff:
		before.Allow = nil
	}
	return &before
}

func (a *app) vpcFlowsCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use: "flows NAME", Short: "Show who talked to whom in a VPC, and what was dropped",
		Long: "Show the latest traffic that a VPC has seen: who began it, with whom, and whether it passed.",
		Example: example(`
cis vpc flows shop
cis vpc flows shop -o json`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: vpcs.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			flows, err := c.Flows(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if out.machine() {
				return printList(a.Out, out, flows)
			}
			t, now := newTable(a.palette(a.Out), "FROM", "TO", "PROTOCOL", "PORT", "VERDICT", "COUNT", "LAST SEEN"), time.Now()
			for _, f := range flows {
				t.addCells(flowRow(f, now)...)
			}
			return t.write(a.Out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func flowRow(f api.Flow, now time.Time) []cell {
	verdict, port := cell{"allowed", green}, ""
	if !f.Allowed {
		verdict = cell{"dropped", red}
	}
	if f.Port != 0 {
		port = strconv.Itoa(f.Port)
	}
	return []cell{{text: peerText(f.SourceInstance, f.Source)}, {text: peerText(f.DestinationInstance, f.Destination)}, {text: f.Protocol},
		{text: port}, verdict, {text: strconv.FormatInt(f.Connections, 10)}, {text: since(now, f.LastSeen)}}
}

// peerText is one end of traffic: an instance and its address, or an address alone.
func peerText(instance, address string) string {
	if instance == "" {
		return address
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s)", instance, address))
}
