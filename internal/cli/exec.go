package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cis/api"
)

func (a *app) execCommand() *cobra.Command {
	var req api.ExecRequest
	var env []string
	cmd := &cobra.Command{
		Use:   "exec [flags] NAME [--] COMMAND [ARG...]",
		Short: "Run a command in a running instance",
		Long: "Run a command beside the program of a running instance and exit with its code.\n" +
			"The arguments reach the command as they are given: no shell is in between.",
		Example: example(`
cis exec web -- ls -l /etc
cis exec -it web sh
cis exec -u nobody -e LANG=C web id
cat dump.sql | cis exec -i db -- psql`),
		Args:              usageArgs(cobra.MinimumNArgs(2)),
		ValidArgsFunction: a.completeInstances(1),
		Annotations:       map[string]string{passesExitCode: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			command, err := execArgs(cmd, args)
			if err != nil {
				return err
			}
			req.Command = command
			for _, e := range env {
				v, found, err := parseEnv(e, a.Getenv)
				if err != nil {
					return usagef("--env: %w", err)
				}
				if found {
					req.Env = setEnv(req.Env, v)
				}
			}
			return a.exec(cmd.Context(), args[0], req)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&req.Stdin, "interactive", "i", false, "send standard input to the command")
	f.BoolVarP(&req.TTY, "tty", "t", false, "give the command a terminal")
	f.StringVarP(&req.Container, "container", "c", "", "container (default: the first)")
	f.StringVarP(&req.User, "user", "u", "", "name or number to run as, with optional :GROUP")
	f.StringVarP(&req.WorkingDir, "workdir", "w", "", "working directory")
	f.StringArrayVarP(&env, "env", "e", nil, "environment variable NAME=VALUE (may be repeated)")
	return cmd
}

// execArgs separates NAME from the command. Flags between NAME and -- are read
// too, as kubectl's users write them.
func execArgs(cmd *cobra.Command, args []string) ([]string, error) {
	command := args[1:]
	if strings.HasPrefix(command[0], "-") {
		dash := slices.Index(command, "--")
		if dash < 0 {
			return nil, usagef("flags go before the name, or before -- : cis exec %s %s -- COMMAND", command[0], args[0])
		}
		if err := cmd.Flags().Parse(command[:dash]); err != nil {
			return nil, flagError(cmd, err)
		}
		if rest := cmd.Flags().Args(); len(rest) > 0 {
			return nil, usagef("%q stands before --, where only flags may", rest[0])
		}
		command = command[dash+1:]
	}
	if len(command) == 0 {
		return nil, usagef("there is no command after --")
	}
	return command, nil
}

func (a *app) exec(ctx context.Context, ref string, req api.ExecRequest) error {
	if err := a.checkTTY(req.Stdin, req.TTY); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	s, err := a.open(ctx, req.Stdin, req.TTY, false)
	if err != nil {
		return err
	}
	defer s.close()
	code, err := c.Exec(s.ctx, ref, req, s.streams)
	return sessionEnd(ctx, code, err)
}
