package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var secgroups = resource[api.SecurityGroup]{
	command: "secgroup", many: "security groups", example: "web",
	header: []string{"NAME", "ID", "INGRESS", "EGRESS", "AGE"},
	row: func(g api.SecurityGroup, now time.Time) []string {
		return []string{g.Name, g.ID, countText(len(g.Ingress), "rule"), countText(len(g.Egress), "rule"), since(now, g.CreatedAt)}
	},
	show:    (*description).securityGroup,
	name:    func(g api.SecurityGroup) string { return g.Name },
	account: func(g api.SecurityGroup) string { return g.Account },
	list:    (*client.Client).SecurityGroups, get: (*client.Client).SecurityGroup, remove: (*client.Client).RemoveSecurityGroup,
}

func countText(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func (d *description) securityGroup(g api.SecurityGroup) {
	d.line("Name", g.Name)
	d.line("ID", g.ID)
	d.lines("Labels", sortedPairs(g.Labels))
	d.line("Created", d.time(&g.CreatedAt))
	d.lines("Ingress", numbered(g.Ingress))
	d.lines("Egress", numbered(g.Egress))
}

// numbered are the rules with the numbers by which rm and verdicts name them.
func numbered(rules []api.Rule) []string {
	lines := []string{"none"}
	for i, r := range rules {
		line := joinText(fmt.Sprintf("%d. %s", i+1, ruleText(r)), r.Description)
		lines = append(lines, line)
	}
	if len(rules) > 0 {
		return lines[1:]
	}
	return lines
}

func (a *app) secgroupCommand() *cobra.Command {
	cmd := secgroups.parent("Say which traffic instances may receive and send",
		"Make security groups: stateful firewalls of the instances that name them. What no rule of any of\n"+
			"an instance's groups allows does not pass; answers do.", `
cis secgroup create web --ingress tcp:80 --ingress tcp:443
cis run --secgroup web --secgroup default nginx
cis secgroup rule add web ingress tcp:22,10.0.0.0/8`)
	cmd.AddCommand(a.secgroupCreateCommand(), secgroups.listCommand(a), secgroups.inspectCommand(a), secgroups.rmCommand(a), a.ruleCommand())
	return cmd
}

func (a *app) secgroupCreateCommand() *cobra.Command {
	var g api.SecurityGroup
	var out format
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a security group",
		Long: "Make a security group. Without rules, its members may receive from each other and send to\n" +
			"everyone.\n\n" + ruleHelp,
		Example: example(`
cis secgroup create web --ingress tcp:80 --ingress icmp:8
cis secgroup create db --ingress tcp:5432,web --egress none
cis secgroup create closed --ingress none`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			g.Name = args[0]
			made, err := c.CreateSecurityGroup(cmd.Context(), g)
			if err != nil {
				return err
			}
			return secgroups.printMade(a, made, out)
		},
	}
	rulesFlag(cmd, &g.Ingress, "ingress", "traffic to let in")
	rulesFlag(cmd, &g.Egress, "egress", "traffic to let out")
	labelFlag(cmd, &g.Labels)
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) ruleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rule", Short: "Add, list and remove the rules of a security group",
		Long: "Change the rules of a security group. Running instances have them before the command ends;\n" +
			"connections that stay allowed go on.",
		Example: example(`
cis secgroup rule add web ingress tcp:8000-8999
cis secgroup rule list web
cis secgroup rule rm web ingress 2`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.ruleAddCommand(), a.ruleRmCommand(), a.ruleListCommand())
	return cmd
}

// completeRuleArgs offers a group, then a direction.
func (a *app) completeRuleArgs(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return []string{"ingress", "egress"}, cobra.ShellCompDirectiveNoFileComp
	}
	return secgroups.complete(a, 1)(cmd, args, toComplete)
}

func (a *app) ruleAddCommand() *cobra.Command {
	var text string
	cmd := &cobra.Command{
		Use: "add NAME ingress|egress RULE...", Short: "Add rules to a security group",
		Long: "Add rules to a security group.\n\n" + ruleHelp,
		Example: example(`
cis secgroup rule add web ingress tcp:80 tcp:443
cis secgroup rule add db ingress tcp:5432,web --description "the shop"
cis secgroup rule add web egress udp:53,10.0.0.0/8`),
		Args: usageArgs(cobra.MinimumNArgs(3)), ValidArgsFunction: a.completeRuleArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var more []api.Rule
			for _, s := range args[2:] {
				r, err := parseRule(s)
				if err != nil {
					return usagef("%w", err)
				}
				r.Description = text
				more = append(more, r)
			}
			return a.changeRules(cmd.Context(), args[0], args[1], func(rules []api.Rule) ([]api.Rule, error) {
				return append(rules, more...), nil
			})
		},
	}
	cmd.Flags().StringVar(&text, "description", "", "words about the rules")
	return cmd
}

func (a *app) ruleRmCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm NAME ingress|egress NUMBER...", Short: "Remove rules of a security group",
		Long: "Remove rules by the numbers that 'cis secgroup rule list' shows. The later ones move up.",
		Example: example(`
cis secgroup rule list web
cis secgroup rule rm web ingress 2
cis secgroup rule rm web egress 1 3`),
		Args: usageArgs(cobra.MinimumNArgs(3)), ValidArgsFunction: a.completeRuleArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeRules(cmd.Context(), args[0], args[1], func(rules []api.Rule) ([]api.Rule, error) {
				return withoutRules(rules, args[2:])
			})
		},
	}
}

// withoutRules leaves out the rules of those numbers, counted from 1.
func withoutRules(rules []api.Rule, numbers []string) ([]api.Rule, error) {
	gone := map[int]bool{}
	for _, s := range numbers {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > len(rules) {
			return nil, usagef("%q is not the number of a rule: there are %d", s, len(rules))
		}
		gone[n-1] = true
	}
	kept := []api.Rule{}
	for i, r := range rules {
		if !gone[i] {
			kept = append(kept, r)
		}
	}
	return kept, nil
}

// changeRules changes the rules of one direction, anew if somebody else was faster.
func (a *app) changeRules(ctx context.Context, name, direction string, change func([]api.Rule) ([]api.Rule, error)) error {
	if direction != "ingress" && direction != "egress" {
		return usagef("%q is not a direction: use ingress or egress", direction)
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		g, err := c.SecurityGroup(ctx, name)
		if err != nil {
			return err
		}
		u := api.SecurityGroupUpdate{Revision: g.Revision}
		side, of := &u.Ingress, g.Ingress
		if direction == "egress" {
			side, of = &u.Egress, g.Egress
		}
		if *side, err = change(slices.Clone(of)); err != nil {
			return err
		}
		g, err = c.UpdateSecurityGroup(ctx, name, u)
		if api.CodeOf(err) == api.Conflict && try < 10 {
			continue
		}
		if err == nil {
			fmt.Fprintln(a.Out, g.Name)
		}
		return err
	}
}

func (a *app) ruleListCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use: "list NAME", Aliases: []string{"ls"}, Short: "List the rules of a security group",
		Long: "List the rules of a security group with the numbers by which 'rule rm' and 'cis net check'\nname them.",
		Example: example(`
cis secgroup rule list web
cis secgroup rule list web -o json`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: secgroups.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			g, err := c.SecurityGroup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if out.machine() {
				return printValue(a.Out, out, map[string][]api.Rule{"ingress": g.Ingress, "egress": g.Egress})
			}
			t := newTable(a.palette(a.Out), "DIRECTION", "NUMBER", "PROTOCOL", "PORTS", "PEER", "DESCRIPTION")
			for _, side := range []struct {
				name  string
				rules []api.Rule
			}{{"ingress", g.Ingress}, {"egress", g.Egress}} {
				for i, r := range side.rules {
					t.add(side.name, strconv.Itoa(i+1), string(r.Protocol), rulePorts(r), r.CIDR+r.SecurityGroup, r.Description)
				}
			}
			return t.write(a.Out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}
