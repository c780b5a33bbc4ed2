package cli

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) consoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "console NAME",
		Short: "Show what the kernel of a VM has printed",
		Long: "Show the last of what the kernel of an instance that is a VM has printed, 64 KiB at\n" +
			"most. The output of its programs is in cis logs.",
		Example: example(`
cis console web
cis console web | tail -n 20`),
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeInstances(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.console(cmd.Context(), args[0])
		},
	}
}

func (a *app) console(ctx context.Context, ref string) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	console, err := c.Console(ctx, ref)
	if err != nil {
		return err
	}
	text := console.Text
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err = io.WriteString(a.Out, text)
	return err
}
