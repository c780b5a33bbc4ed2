package cli

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var subnets = resource[api.Subnet]{
	command: "subnet", many: "subnets", example: "front",
	header: []string{"NAME", "ID", "VPC", "CIDR", "IPV6", "FREE", "AGE"},
	row: func(s api.Subnet, now time.Time) []string {
		return []string{s.Name, s.ID, s.VPC, s.CIDR, s.CIDR6, strconv.Itoa(s.Available), since(now, s.CreatedAt)}
	},
	show:    (*description).subnet,
	name:    func(s api.Subnet) string { return s.Name },
	account: func(s api.Subnet) string { return s.Account },
	list:    (*client.Client).Subnets, get: (*client.Client).Subnet, remove: (*client.Client).RemoveSubnet,
}

func (d *description) subnet(s api.Subnet) {
	d.line("Name", s.Name)
	d.line("ID", s.ID)
	d.lines("Labels", sortedPairs(s.Labels))
	d.line("Created", d.time(&s.CreatedAt))
	d.line("VPC", s.VPC)
	d.line("CIDR", s.CIDR)
	d.line("IPv6", s.CIDR6)
	d.line("Free addresses", strconv.Itoa(s.Available))
}

func (a *app) subnetCommand() *cobra.Command {
	cmd := subnets.parent("Divide VPCs into ranges of addresses",
		"Make subnets: parts of a VPC's range, from which instances get their addresses. The subnets of a\n"+
			"VPC reach each other.", `
cis subnet create front --vpc shop --cidr 10.1.1.0/24
cis run --subnet front nginx
cis subnet list`)
	cmd.AddCommand(a.subnetCreateCommand(), subnets.listCommand(a), subnets.inspectCommand(a), subnets.rmCommand(a))
	return cmd
}

func (a *app) subnetCreateCommand() *cobra.Command {
	var s api.Subnet
	var out format
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a subnet of a VPC",
		Long: "Make a subnet of a VPC. With --ipv6 its instances get an IPv6 address beside the IPv4 one.",
		Example: example(`
cis subnet create front --vpc shop --cidr 10.1.1.0/24
cis subnet create back --vpc shop --cidr 10.1.2.0/24 --ipv6`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s.Name = args[0]
			made, err := c.CreateSubnet(cmd.Context(), s)
			if err != nil {
				return err
			}
			return subnets.printMade(a, made, out)
		},
	}
	cmd.Flags().StringVar(&s.VPC, "vpc", "", "VPC that it is a part of (default: the default one)")
	cmd.Flags().StringVar(&s.CIDR, "cidr", "", "IPv4 range inside the VPC's, such as 10.1.1.0/24")
	cmd.Flags().BoolVar(&s.IPv6, "ipv6", false, "give IPv6 addresses too")
	labelFlag(cmd, &s.Labels)
	outputFlag(cmd, &out, formatJSON, formatYAML)
	// The flag exists, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("vpc", vpcs.complete(a, -1))
	return cmd
}
