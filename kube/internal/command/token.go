package command

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cis/kube/internal/bootstrap"
	"cis/kube/internal/home"
	"cis/kube/internal/pki"
	"cis/kube/internal/plane"
)

// The user name in a kubeconfig for joining; the server goes by the token.
const tokenUser = "node-bootstrapper"

func (a *app) tokenCommand() *cobra.Command {
	var ttl time.Duration
	var asKubeconfig bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token with which nodes join",
		Long: "Make a token with which nodes join the cluster and get certificates of their own, and\n" +
			"print it, alone or in a kubeconfig. It is a secret, and ends by itself.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ttl < time.Minute {
				return &plane.FieldError{Field: "ttl", Message: fmt.Sprintf("%s is less than a minute", ttl)}
			}
			status, err := plane.AskStatus(cmd.Context(), a.dataDir)
			if err != nil {
				return err
			}
			client, err := bootstrap.Client(a.dataDir)
			if err != nil {
				return err
			}
			token, err := bootstrap.NewToken(cmd.Context(), client, ttl)
			if err != nil {
				return fmt.Errorf("make a token: %w", err)
			}
			if !asKubeconfig {
				fmt.Fprintln(a.Out, token)
				return nil
			}
			ca, err := os.ReadFile(home.PKI(a.dataDir, pki.CA+".crt"))
			if err != nil {
				return err
			}
			data, err := pki.TokenKubeconfig(status.NodeServer, ca, tokenUser, token)
			if err != nil {
				return err
			}
			_, err = a.Out.Write(data)
			return err
		},
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long nodes can join with it, a minute or more")
	cmd.Flags().BoolVar(&asKubeconfig, "kubeconfig", false, "print a kubeconfig with the token in it, for a node's start")
	return cmd
}
