package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	var clientOnly bool
	var out format
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of cis and of the server",
		Long:  "Print the versions of this program and of the server it talks to.",
		Example: example(`
cis version
cis version --client -o json`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			versions := struct {
				Client string `json:"client"`
				Server string `json:"server,omitempty"`
			}{Client: a.Version}
			var serverErr error
			if !clientOnly {
				c, err := a.client()
				if err != nil {
					return err
				}
				v, err := c.Version(cmd.Context())
				versions.Server, serverErr = v.Version, err
			}
			if out.machine() {
				if err := printValue(a.Out, out, versions); err != nil {
					return err
				}
				return serverErr
			}
			fmt.Fprintf(a.Out, "client  %s\n", versions.Client)
			if versions.Server != "" {
				fmt.Fprintf(a.Out, "server  %s\n", versions.Server)
			}
			return serverErr
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "do not ask the server")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}
