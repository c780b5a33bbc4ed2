// Package command is the command line of cis-kube, without the programs that are in it.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"cis/kube/internal/home"
	"cis/kube/internal/plane"
)

// Env is the world around one call.
type Env struct {
	Args     []string // without the program's name
	Out, Err io.Writer
	// Getenv reads an environment variable, as os.Getenv.
	Getenv func(string) string
	// Version of Kubernetes.
	Version string
}

// The exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
	// exitNotRunning is that of status if nothing runs, as of LSB's init scripts.
	exitNotRunning = 3
)

// usageError is a command line that can never work.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type app struct {
	Env
	dataDir string
}

// Main runs the command line and returns the exit code: 0, 2 for a usage error, 3 for
// status and down if nothing runs, else 1.
func Main(env Env) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{Env: env}
	root := a.root()
	cmd, err := root.ExecuteContextC(ctx)
	return a.exitCode(cmd, err)
}

func (a *app) exitCode(cmd *cobra.Command, err error) int {
	var usage usageError
	var field *plane.FieldError
	var child *childError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.As(err, &field), strings.HasPrefix(err.Error(), "unknown command "):
		a.printError(err, "see '"+cmd.CommandPath()+" --help'")
		return exitUsage
	case errors.As(err, &child):
		return max(child.code, exitFailure)
	case errors.Is(err, plane.ErrNotRunning):
		a.printError(err, "start it: cis kube up")
		return exitNotRunning
	case errors.Is(err, context.Canceled):
		a.printError(errors.New("interrupted"), "")
		return exitFailure
	default:
		a.printError(err, "")
		return exitFailure
	}
}

func (a *app) printError(err error, next string) {
	fmt.Fprintf(a.Err, "cis-kube: %v\n", err)
	if next != "" {
		fmt.Fprintf(a.Err, "  → %s\n", next)
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cis-kube",
		Short: "A Kubernetes control plane in one program",
		Long: "cis-kube makes, runs and stops a Kubernetes control plane on this machine: etcd,\n" +
			"kube-apiserver, kube-controller-manager and kube-scheduler, and a node whose pods are\n" +
			"instances of cis. It lives in one directory.\n\n" +
			"The programs themselves can be run by their names: cis-kube NAME ..., where NAME is\n" +
			"etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy or\n" +
			"metrics-server. kubectl is the program cis-kubectl beside cis-kube, and gets the\n" +
			"administrator's kubeconfig.",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              usageArgs(cobra.NoArgs),
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetArgs(a.Args)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().StringVar(&a.dataDir, "data-dir", home.Dir(a.Getenv), "where the control plane lives (env "+home.Env+")")
	root.PersistentPreRunE = func(*cobra.Command, []string) (err error) {
		a.dataDir, err = filepath.Abs(a.dataDir)
		return err
	}
	root.AddCommand(a.upCommand(), a.downCommand(), a.statusCommand(), a.tokenCommand(), a.kubectlCommand(), a.kubeconfigCommand(), a.versionCommand(),
		a.insideCommand(), a.relayCommand())
	return root
}

func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of Kubernetes",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(a.Out, a.Version)
			return nil
		},
	}
}
