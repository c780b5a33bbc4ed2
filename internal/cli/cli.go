package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"cis/client"
)

// Env is the world around one call of the command line.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	// Getenv reads an environment variable, as os.Getenv.
	Getenv func(string) string
	// Version of this program.
	Version string
}

// DefaultHost is where cisd listens unless told otherwise.
const DefaultHost = "unix:///run/cis/cis.sock"

// app is what every command shares: the world, the global flags and the one client.
type app struct {
	Env
	host, token, ca string
	account         string
	allAccounts     bool
	conn            *client.Client
}

// Main runs the command line and returns the exit code: 0, the program's own for
// run, exec and attach, 125 when cis itself fails in one of these, 2 for a usage
// error, else 1.
func Main(ctx context.Context, args []string, env Env) int {
	a := &app{Env: env}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	cmd, err := root.ExecuteContextC(ctx)
	return a.exitCode(cmd, err)
}

// Root returns the command tree, for the reference that is generated from it.
func Root() *cobra.Command {
	a := &app{Env: Env{Getenv: func(string) string { return "" }}}
	return a.root()
}

// The groups of commands, as the help shows them.
const (
	groupRun     = "run"
	groupInspect = "inspect"
	groupUsage   = "usage"
	groupObjects = "objects"
	groupDisks   = "disks"
	groupNetwork = "network"
	groupAccount = "account"
	groupKube    = "kube"
	groupSystem  = "system"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cis",
		Short: "Run containers as instances, isolated like virtual machines",
		Long: "cis runs container images as instances: each one isolated like a virtual machine,\n" +
			"with its own address, gone when its program ends.",
		Example: example(`
cis run --rm busybox echo hello
cis run -d --name web --cpu 1 --memory 512Mi nginx
cis ps -a
cis logs -f web`),
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              usageArgs(cobra.NoArgs),
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.host, "host", "", "where cisd listens: unix://PATH or https://HOST:PORT (env CIS_HOST; default "+DefaultHost+")")
	flags.StringVar(&a.token, "token", "", "bearer token for an https host (env CIS_TOKEN)")
	flags.StringVar(&a.ca, "ca", "", "file with the CA certificates to trust for an https host (env CIS_CA)")
	flags.StringVar(&a.account, "account", "", "account to act for, where that is not your own (env CIS_ACCOUNT)")
	flags.BoolVarP(&a.allAccounts, "all-accounts", "A", false, "look at all accounts")
	// The flag exists, which is all that could fail.
	_ = root.RegisterFlagCompletionFunc("account", accounts.complete(a, -1))
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run and stop:"},
		&cobra.Group{ID: groupInspect, Title: "Look and talk:"},
		&cobra.Group{ID: groupUsage, Title: "Usage and prices:"},
		&cobra.Group{ID: groupObjects, Title: "Images and secrets:"},
		&cobra.Group{ID: groupDisks, Title: "Disks:"},
		&cobra.Group{ID: groupNetwork, Title: "Networks:"},
		&cobra.Group{ID: groupAccount, Title: "Accounts:"},
		&cobra.Group{ID: groupKube, Title: "Kubernetes:"},
		&cobra.Group{ID: groupSystem, Title: "The system:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRun, a.runCommand(), a.createCommand(), a.stopCommand(), a.startCommand(), a.restartCommand(),
		a.updateCommand(), a.killCommand(), a.rmCommand(), a.waitCommand())
	add(groupInspect, a.psCommand(), a.inspectCommand(), a.logsCommand(), a.execCommand(), a.debugCommand(), a.attachCommand(),
		a.cpCommand(), a.portForwardCommand(), a.eventsCommand(), a.statsCommand(), a.consoleCommand())
	add(groupUsage, a.usageCommand(), a.priceCommand())
	add(groupObjects, a.imageCommand(), a.imagesCommand(), a.secretCommand())
	add(groupDisks, a.diskCommand())
	add(groupNetwork, a.vpcCommand(), a.subnetCommand(), a.secgroupCommand(), a.addressCommand(), a.netCommand())
	add(groupAccount, a.accountCommand(), a.userCommand(), a.keyCommand(), a.quotaCommand(), a.auditCommand(), a.whoamiCommand())
	add(groupKube, a.kubeCommand(), a.kubectlCommand())
	add(groupSystem, a.infoCommand(), a.doctorCommand(), a.versionCommand(), a.completionCommand())
	root.SetHelpCommandGroupID(groupSystem)
	return root
}

// client connects on first use: commands that need no server pay nothing.
func (a *app) client() (*client.Client, error) {
	if a.conn != nil {
		return a.conn, nil
	}
	if a.account != "" && a.allAccounts {
		return nil, usagef("give --account or --all-accounts, not both")
	}
	c, err := client.New(client.Options{
		Host:    firstOf(a.host, a.Getenv("CIS_HOST"), DefaultHost),
		Token:   firstOf(a.token, a.Getenv("CIS_TOKEN")),
		CA:      firstOf(a.ca, a.Getenv("CIS_CA")),
		Account: a.actsFor(),
	})
	if err != nil {
		return nil, err
	}
	a.conn = c
	return c, nil
}

// actsFor is the account that the flags or the environment name; empty: the caller's own.
func (a *app) actsFor() string {
	if a.allAccounts {
		return client.AllAccounts
	}
	return firstOf(a.account, a.Getenv("CIS_ACCOUNT"))
}

// everyAccount tells whether lists are those of all accounts, and have a column for it.
func (a *app) everyAccount() bool { return a.actsFor() == client.AllAccounts }

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
