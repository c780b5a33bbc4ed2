package cli

import (
	"context"

	"github.com/spf13/cobra"

	"cis/client"
)

func (a *app) updateCommand() *cobra.Command {
	var groups []string
	cmd := a.instancesCommand("update", "Change instances, live", "Put instances into other security groups, live: into those named and out of all others.", `
cis update --secgroup web --secgroup monitored web
cis update --secgroup default web db`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			_, err := c.SetSecurityGroups(ctx, ref, groups...)
			return ref, err
		})
	cmd.Flags().StringArrayVar(&groups, "secgroup", nil, "security group (may be repeated)")
	return cmd
}
