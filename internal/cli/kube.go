package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"cis/api"
)

// These are programs of their own, and large: cis only finds them and becomes them.
const (
	kubeProgram    = "cis-kube"
	kubectlProgram = "cis-kubectl"
)

func (a *app) kubeCommand() *cobra.Command {
	return becomes(kubeProgram, &cobra.Command{
		Use:   "kube up|down|status|token|kubeconfig [FLAGS]",
		Short: "Run a Kubernetes cluster on this machine",
		Long: "Run a Kubernetes cluster on this machine: etcd, kube-apiserver,\n" +
			"kube-controller-manager and kube-scheduler, with all state in one directory, and a\n" +
			"node whose pods are instances, with Services and the cluster's DNS for them.\n" +
			"It is the program cis-kube, which is built on demand (make kube) and has its own\n" +
			"help: cis kube up --help.",
		Example: example(`
cis kube up
cis kube status
cis kube token --ttl 1h
cis kube down`),
	})
}

func (a *app) kubectlCommand() *cobra.Command {
	return becomes(kubectlProgram, &cobra.Command{
		Use:   "kubectl [ARGUMENTS]",
		Short: "Run kubectl as the administrator of the control plane of cis kube",
		Long: "Run kubectl as the administrator of the control plane that cis kube has made. All\n" +
			"arguments are kubectl's.",
		Example: example(`
cis kubectl get pods -A
cis kubectl apply -f deployment.yaml`),
	})
}

// becomes makes a command of a program: all arguments are its own.
func becomes(program string, cmd *cobra.Command) *cobra.Command {
	cmd.DisableFlagParsing = true
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		path, err := findKube(besideProgram(), program)
		if err != nil {
			return err
		}
		return fmt.Errorf("run %s: %w", path, syscall.Exec(path, append([]string{program}, args...), os.Environ()))
	}
	return cmd
}

// findKube looks where a build and where an installation put programs.
func findKube(dir, program string) (string, error) {
	for _, d := range []string{dir, filepath.Join(dir, "..", "lib", "cis")} {
		if path, err := exec.LookPath(filepath.Join(d, program)); err == nil {
			return path, nil
		}
	}
	return "", api.Errorf(api.NotFound, "%s is not in %s: it is built on demand", program, dir).
		WithNext("build it with 'make kube'; the first time takes about 7 minutes on 2 cores")
}
