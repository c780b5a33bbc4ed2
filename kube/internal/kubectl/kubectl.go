// Package kubectl is kubectl, as the administrator of the control plane of cis-kube.
package kubectl

import (
	"fmt"
	"os"
	_ "time/tzdata" // time zones, where the host has none

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs of clouds
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	"k8s.io/kubectl/pkg/cmd/util"

	"cis/kube/internal/home"
	_ "cis/kube/internal/kubectl/collect"
	_ "cis/kube/internal/kubectl/language"
	"cis/kube/internal/pki"
)

// Main runs kubectl with os.Args, and ends the process.
func Main() {
	os.Args[0] = "kubectl"
	useAdmin()
	// What kubectl says while its commands are made depends on its verbosity too; a bad
	// one is told when flags are parsed.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommandWithArgs(options())); err != nil {
		util.CheckErr(err)
	}
}

// options are kubectl's own, with the shorter way to the schema.
func options() cmd.KubectlOptions {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	flags := genericclioptions.NewConfigFlags(true).
		WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50).
		WithWarningPrinter(streams).WithWrapConfigFn(wrapConfig)
	return cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     os.Args, ConfigFlags: flags, IOStreams: streams,
	}
}

// useAdmin sets the environment variable KUBECONFIG to the administrator's.
func useAdmin() {
	path := home.PKI(home.Dir(os.Getenv), pki.AdminConfig)
	if _, err := os.Stat(path); err != nil {
		fmt.Fprintf(os.Stderr, "cis-kubectl: kubectl runs with its own settings, not the administrator's: %v\n", err)
		return
	}
	// Only a name with an equals sign or a zero byte is refused.
	_ = os.Setenv("KUBECONFIG", path)
}
