package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var addresses = resource[api.Address]{
	command: "address", many: "public addresses", example: "front",
	header: []string{"NAME", "ID", "ADDRESS", "INSTANCE", "VPC", "AGE"},
	row: func(s api.Address, now time.Time) []string {
		return []string{s.Name, s.ID, s.Address, s.Instance, s.VPC, since(now, s.CreatedAt)}
	},
	show:    (*description).address,
	name:    func(s api.Address) string { return s.Name },
	account: func(s api.Address) string { return s.Account },
	list:    (*client.Client).Addresses, get: (*client.Client).Address, remove: (*client.Client).RemoveAddress,
}

func (d *description) address(s api.Address) {
	d.line("Name", s.Name)
	d.line("ID", s.ID)
	d.lines("Labels", sortedPairs(s.Labels))
	d.line("Created", d.time(&s.CreatedAt))
	d.line("Address", s.Address)
	d.line("Instance", s.Instance)
	d.line("VPC", s.VPC)
	if s.Auto {
		d.line("Kept", "as long as its instance")
	}
}

func (a *app) addressCommand() *cobra.Command {
	cmd := addresses.parent("Give instances public addresses",
		"Take public addresses out of the pool that cisd has (-public-addresses), and bind them to\n"+
			"instances: what comes to one goes to its instance, as its security groups allow.", `
cis address create front
cis run -d --name web --public-address front --secgroup web nginx
cis address bind front web2`)
	cmd.AddCommand(a.addressCreateCommand(), addresses.listCommand(a), addresses.inspectCommand(a), addresses.rmCommand(a),
		a.addressBindCommand(), a.addressUnbindCommand())
	return cmd
}

func (a *app) addressCreateCommand() *cobra.Command {
	var s api.Address
	var out format
	cmd := &cobra.Command{
		Use: "create [NAME]", Short: "Take a public address out of the pool",
		Long: "Take a public address out of the pool. Without a name it goes by its ID.",
		Example: example(`
cis address create
cis address create front
cis address create front --address 203.0.113.7`),
		Args: usageArgs(cobra.MaximumNArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			s.Name = firstOf(args...)
			made, err := c.CreateAddress(cmd.Context(), s)
			if err != nil {
				return err
			}
			return addresses.printMade(a, made, out)
		},
	}
	cmd.Flags().StringVar(&s.Address, "address", "", "a certain one of the pool (default: a free one)")
	labelFlag(cmd, &s.Labels)
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) addressBindCommand() *cobra.Command {
	var vpc string
	var out format
	cmd := &cobra.Command{
		Use: "bind NAME [INSTANCE]", Short: "Bind a public address to an instance or a VPC, live",
		Long: "Bind a public address to an instance, live, or with --vpc to the router of a VPC, whose\n" +
			"programs lead on what comes to it. One that is bound already is moved.",
		Example: example(`
cis address bind front web
cis address bind front web2
cis address bind front --vpc default`),
		Args: func(cmd *cobra.Command, args []string) error {
			if vpc != "" {
				return usageArgs(cobra.ExactArgs(1))(cmd, args)
			}
			return usageArgs(cobra.ExactArgs(2))(cmd, args)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return a.completeInstances(2)(cmd, args, toComplete)
			}
			return addresses.complete(a, 1)(cmd, args, toComplete)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			var bound api.Address
			if vpc != "" {
				bound, err = c.RouteAddress(cmd.Context(), args[0], vpc)
			} else {
				bound, err = c.BindAddress(cmd.Context(), args[0], args[1])
			}
			if err != nil {
				return err
			}
			return addresses.printMade(a, bound, out)
		},
	}
	cmd.Flags().StringVar(&vpc, "vpc", "", "the VPC to whose router it shall lead, instead of to an instance")
	// The flag exists, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("vpc", vpcs.complete(a, -1))
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) addressUnbindCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unbind NAME...", Short: "Take public addresses from their instances or VPCs, live",
		Long: "Take public addresses from their instances or VPCs, live. They stay out of the pool until\n" +
			"'address rm'.",
		Example: example(`
cis address unbind front
cis address unbind front back`),
		Args: usageArgs(cobra.MinimumNArgs(1)), ValidArgsFunction: addresses.complete(a, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd.Context(), args, func(ctx context.Context, c *client.Client, name string) (string, error) {
				_, err := c.UnbindAddress(ctx, name)
				return name, err
			})
		},
	}
}
