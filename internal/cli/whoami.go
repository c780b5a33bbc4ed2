package cli

import (
	"github.com/spf13/cobra"

	"cis/api"
)

func (a *app) whoamiCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use: "whoami", Short: "Show who you are to the server",
		Long: "Show which account your requests act for, as which user, with which role and key.",
		Example: example(`
cis whoami
cis whoami --account shop -o json`),
		Args: usageArgs(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			me, err := c.WhoAmI(cmd.Context())
			if err != nil {
				return err
			}
			if out.machine() {
				return printValue(a.Out, out, me)
			}
			d := newDescription(a.palette(a.Out))
			d.identity(me)
			return d.write(a.Out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (d *description) identity(me api.Identity) {
	d.line("Account", firstOf(me.Account, "all of them"))
	d.line("User", me.User)
	d.line("Role", string(me.Role))
	d.line("Key", firstOf(me.Key, "none: you have the socket"))
	if me.System {
		d.line("May also", "act for every account: you run the service")
	}
}
