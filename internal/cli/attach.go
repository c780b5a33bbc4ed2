package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) attachCommand() *cobra.Command {
	var container string
	var noStdin, replay bool
	cmd := &cobra.Command{
		Use:   "attach NAME",
		Short: "Join the output and input of a running instance",
		Long: "Join a running instance's program: its output from now on, and its input if it was\n" +
			"created with -i. Exits with the program's code. Ctrl-C ends only the joining;\n" +
			"with a terminal (-t) it goes to the program, and ctrl-p ctrl-q leaves.",
		Example: example(`
cis attach web
cis attach --replay job
cis attach --no-stdin -c sidecar web`),
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: a.completeInstances(1),
		Annotations:       map[string]string{passesExitCode: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), args[0], container, !noStdin, replay)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&container, "container", "c", "", "container (default: the first)")
	f.BoolVar(&noStdin, "no-stdin", false, "do not send standard input")
	f.BoolVar(&replay, "replay", false, "begin with what was written so far")
	return cmd
}

func (a *app) attach(ctx context.Context, ref, container string, stdin, replay bool) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	inst, err := c.Get(ctx, ref)
	if err != nil {
		return err
	}
	tty := false
	for i, spec := range inst.Spec.Containers {
		if spec.Name == container || container == "" && i == 0 {
			stdin, tty = stdin && spec.Stdin, spec.TTY
		}
	}
	for _, spec := range inst.Spec.EphemeralContainers {
		if spec.Name == container {
			stdin, tty = stdin && spec.Stdin, spec.TTY
		}
	}
	// Without a terminal here there is nothing to set up for the one inside.
	ctx, stop := interruptible(ctx)
	defer stop()
	s, err := a.open(ctx, stdin, tty && isTerminal(a.In), true)
	if err != nil {
		return err
	}
	defer s.close()
	code, err := c.Attach(s.ctx, inst.ID, container, replay, s.streams)
	if s.detached {
		return nil
	}
	if err != nil {
		err = lost(err, inst.Spec.Name)
	}
	return sessionEnd(ctx, code, err)
}
