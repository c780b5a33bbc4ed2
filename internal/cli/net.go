package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cis/api"
)

func (a *app) netCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "net", Short: "Find out what the network lets pass",
		Long: "Find out what the network lets pass, and why.",
		Example: example(`
cis net check web db 5432
cis net check web 1.1.1.1 53/udp`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.netCheckCommand())
	return cmd
}

func (a *app) netCheckCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use: "check FROM TO PORT[/udp]", Short: "Tell whether an instance may connect to another, by which rule, and try it",
		Long: "Tell which rules let an instance connect to another one or to an address, or stop it, and prove\n" +
			"it by trying from inside. Over UDP only an answer proves anything. The exit code is 0 if it passes.",
		Example: example(`
cis net check web db 5432
cis net check web 1.1.1.1 53/udp
cis net check web db 5432 -o json`),
		Args: usageArgs(cobra.ExactArgs(3)), ValidArgsFunction: a.completeInstances(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			check, err := parseCheck(args)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			v, err := c.CheckNetwork(cmd.Context(), check)
			if err != nil {
				return err
			}
			return a.printVerdict(v, out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func parseCheck(args []string) (api.NetworkCheck, error) {
	number, protocol, given := strings.Cut(args[2], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil || port == 0 || given && protocol != "udp" && protocol != "tcp" {
		return api.NetworkCheck{}, usagef("%q is not PORT, PORT/tcp or PORT/udp", args[2])
	}
	return api.NetworkCheck{From: args[0], To: args[1], Port: int(port), Protocol: api.Protocol(protocol)}, nil
}

// printVerdict shows it; what does not pass is exit code 1.
func (a *app) printVerdict(v api.NetworkVerdict, out format) error {
	passes := v.Allowed && v.Tried != api.TryNoAnswer && v.Tried != api.TryUnreachable || v.Allowed && v.Protocol == api.ProtocolUDP
	if out.machine() {
		if err := printValue(a.Out, out, v); err != nil {
			return err
		}
	} else if err := a.describeVerdict(v); err != nil {
		return err
	}
	if !passes {
		return exitWith(exitFailure, nil)
	}
	return nil
}

// contradiction explains a try that ended other than the rules say.
func contradiction(v api.NetworkVerdict) string {
	answered := v.Tried == api.TryConnected || v.Tried == api.TryAnswered || v.Tried == api.TryRefused
	switch {
	case v.Allowed && v.Protocol == api.ProtocolTCP && (v.Tried == api.TryNoAnswer || v.Tried == api.TryUnreachable):
		return "no rule of cis stops it: look at the other side, and at firewalls on the way"
	case !v.Allowed && answered:
		return "something answered all the same: it may be a service of the VPC's own gateway"
	}
	return ""
}

func (a *app) describeVerdict(v api.NetworkVerdict) error {
	d := newDescription(a.palette(a.Out))
	d.line("From", v.From)
	d.line("To", fmt.Sprintf("%s port %d/%s", peerText(v.To, v.Address), v.Port, v.Protocol))
	if v.Allowed {
		d.colored("Rules", "allowed", green)
	} else {
		d.colored("Rules", "stopped", red)
	}
	d.lines("By", mapText(v.Steps, func(s api.NetworkStep) string { return s.By }))
	d.line("Tried", joinText(string(v.Tried), v.Detail))
	d.line("Note", contradiction(v))
	return d.write(a.Out)
}
