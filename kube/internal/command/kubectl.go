package command

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"cis/kube/internal/pki"
	"cis/kube/internal/plane"
)

var programs = []string{plane.Etcd, plane.APIServer, plane.ControllerManager, plane.Scheduler, plane.KubeProxy, plane.MetricsServer, "kubectl"}

// Program tells whether the call is one of a program in cis-kube, and of which. For
// kubectl it sets the environment variable KUBECONFIG to the administrator's.
func (e Env) Program() (string, bool) {
	if len(e.Args) == 0 || !slices.Contains(programs, e.Args[0]) {
		return "", false
	}
	if e.Args[0] == "kubectl" {
		e.useAdmin()
	}
	return e.Args[0], true
}

func (e Env) useAdmin() {
	a := &app{Env: e}
	path := plane.PKI(a.defaultDataDir(), pki.AdminConfig)
	if _, err := os.Stat(path); err != nil {
		fmt.Fprintf(e.Err, "cis-kube: kubectl runs with its own settings, not the administrator's: %v\n", err)
		return
	}
	// Only a name with an equals sign or a zero byte is refused.
	_ = os.Setenv("KUBECONFIG", path)
}

func (a *app) kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			data, err := os.ReadFile(plane.PKI(a.dataDir, pki.AdminConfig))
			if err != nil {
				return fmt.Errorf("there is no cluster yet: %w", err)
			}
			_, err = a.Out.Write(data)
			return err
		},
	}
}
