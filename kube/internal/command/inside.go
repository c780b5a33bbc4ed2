package command

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"cis/kube/internal/netns"
	"cis/kube/internal/plane"
	"cis/kube/internal/relay"
)

// The commands of this file are what up starts; nobody else needs them.

// insideCommand becomes a program in a network namespace.
func (a *app) insideCommand() *cobra.Command {
	return &cobra.Command{
		Use: "inside NETNS PROGRAM [ARGUMENTS]", Hidden: true, DisableFlagParsing: true,
		Args: usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			return netns.Namespace(args[0]).Become(args[1], args[2:]...)
		},
	}
}

// relayCommand carries connections from an address in a network namespace to one of this
// process' own.
func (a *app) relayCommand() *cobra.Command {
	return &cobra.Command{
		Use: plane.Relay + " NETNS LISTEN TO", Hidden: true,
		Args: usageArgs(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := netns.Namespace(args[0]).Listen("tcp", args[1])
			if err != nil {
				return fmt.Errorf("listen in %s, which needs a cisd of this version: %w", args[0], err)
			}
			return relay.Serve(cmd.Context(), l, func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", args[2])
			})
		},
	}
}
