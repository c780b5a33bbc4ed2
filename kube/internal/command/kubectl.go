package command

import (
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"cis/kube/internal/home"
	"cis/kube/internal/pki"
)

// kubectlProgram is beside cis-kube.
const kubectlProgram = "cis-kubectl"

func (a *app) kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl [ARGUMENTS]",
		Short:              "Run kubectl as the administrator: become " + kubectlProgram,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			own, err := os.Executable()
			if err != nil {
				return err
			}
			path := beside(own, kubectlProgram)
			return fmt.Errorf("run %s: %w", path, syscall.Exec(path, append([]string{kubectlProgram}, args...), os.Environ()))
		},
	}
}

func (a *app) kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			data, err := os.ReadFile(home.PKI(a.dataDir, pki.AdminConfig))
			if err != nil {
				return fmt.Errorf("there is no cluster yet: %w", err)
			}
			_, err = a.Out.Write(data)
			return err
		},
	}
}
