package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cis/kube/internal/plane"
)

// downPatience is more than all programs together have to end.
const downPatience = 90 * time.Second

func (a *app) downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the control plane; all state stays",
		Long:  "Stop the control plane and wait until all its programs have ended. All state stays. If\nnothing runs, the exit code is 3.",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), downPatience)
			defer cancel()
			return plane.Down(ctx, a.dataDir)
		},
	}
}
