package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) debugCommand() *cobra.Command {
	var c api.EphemeralContainer
	var env, capabilities []string
	var pull string
	var detach bool
	cmd := &cobra.Command{
		Use:   "debug [flags] NAME [-- COMMAND [ARG...]]",
		Short: "Look at a running instance from a container beside its own",
		Long: "Add a container to a running instance and join its output (and input with -i): with an image\n" +
			"that has the tools which the instance's own lacks. It shares the network and, with --target,\n" +
			"sees the processes of a container, whose files are in /proc/1/root.\n\n" +
			"It is never restarted, and stays on record until the instance ends. Its end leaves the instance\n" +
			"running; Ctrl-C ends only the joining, and 'cis attach -c CONTAINER NAME' joins it again.",
		Example: example(`
cis debug -it web --image busybox --target main -- sh
cis debug web --target main -- ps
cis debug -d web --image nicolaka/netshoot -- tcpdump -i eth0`),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeInstances(1),
		Annotations:       map[string]string{passesExitCode: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) > 1 && dash != 1 {
				return usagef("after the name only flags may come, and a command after --")
			}
			c.Command = args[1:]
			if c.Image == "" && len(c.Command) == 0 {
				return usagef("give --image, a command, or both")
			}
			for _, e := range env {
				v, found, err := parseEnv(e, a.Getenv)
				if err != nil {
					return usagef("--env: %w", err)
				}
				if found {
					c.Env = setEnv(c.Env, v)
				}
			}
			if pull != "" {
				policy, err := oneOf(pull, pullPolicies)
				if err != nil {
					return usagef("--pull: %w", err)
				}
				c.ImagePullPolicy = policy
			}
			c.StdinOnce = c.Stdin && !c.TTY && !detach
			c.SecurityContext = &api.SecurityContext{Capabilities: &api.Capabilities{Add: capabilities}}
			return a.debug(cmd.Context(), args[0], c, detach)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Image, "image", "", "image with the tools (default: that of the target, else of the first container)")
	f.StringVar(&pull, "pull", "", "fetch the image: always, missing or never (default: always for :latest, else missing)")
	f.StringVar(&c.TargetContainerName, "target", "", "container whose processes it sees")
	f.StringVarP(&c.Name, "container", "c", "", "name of the new container (default: one is made up)")
	f.BoolVarP(&c.Stdin, "interactive", "i", false, "send standard input to the program")
	f.BoolVarP(&c.TTY, "tty", "t", false, "give the program a terminal")
	f.BoolVarP(&detach, "detach", "d", false, "leave it running and print the container's name")
	f.StringVarP(&c.User, "user", "u", "", "name or number to run as, with optional :GROUP")
	f.StringArrayVarP(&env, "env", "e", nil, "environment variable NAME=VALUE (may be repeated)")
	f.StringArrayVar(&capabilities, "cap-add", []string{"SYS_PTRACE"}, "Linux capabilities beside the usual ones (may be repeated)")
	// The flags exist, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("image", a.completeImages(-1))
	_ = cmd.RegisterFlagCompletionFunc("pull", cobra.FixedCompletions(pullWords(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("target", a.completeContainers)
	return cmd
}

func (a *app) debug(ctx context.Context, ref string, container api.EphemeralContainer, detach bool) error {
	if err := a.checkTTY(container.Stdin, container.TTY); err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	inst, err := c.Get(ctx, ref)
	if err != nil {
		return err
	}
	if container.Image == "" {
		container.Image = imageOf(&inst.Spec, container.TargetContainerName)
	}
	if container.Name == "" {
		container.Name = "debugger-" + strings.ToLower(rand.Text()[:5])
	}
	if _, err := c.AddContainer(ctx, inst.ID, container); err != nil {
		return err
	}
	if detach {
		_, err := fmt.Fprintln(a.Out, container.Name)
		return err
	}
	return a.join(ctx, c, inst, container)
}

// join joins the program of a container that was added just now.
func (a *app) join(ctx context.Context, c *client.Client, inst api.Instance, container api.EphemeralContainer) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	s, err := a.open(ctx, container.Stdin, container.TTY, true)
	if err != nil {
		return err
	}
	start := starting{app: a, conn: c, instance: inst.ID, container: container.Name, containers: func(status *api.InstanceStatus) []api.ContainerStatus {
		return slices.DeleteFunc(slices.Clone(status.EphemeralContainerStatuses), func(one api.ContainerStatus) bool { return one.Name != container.Name })
	}}
	code, err := start.join(s.ctx, s.streams, func(ctx context.Context, streams client.Streams) (int, error) {
		return c.Attach(ctx, inst.ID, container.Name, true, streams)
	})
	s.close()
	if s.detached {
		return nil
	}
	if start, ok := errors.AsType[*startError](err); ok {
		err = start.err
	} else if err != nil {
		err = lost(err, inst.Spec.Name)
	}
	return sessionEnd(ctx, code, err)
}

// imageOf is that of a container, or of the first one.
func imageOf(spec *api.InstanceSpec, container string) string {
	for _, list := range [][]api.Container{spec.Containers, spec.InitContainers} {
		for _, c := range list {
			if c.Name == container {
				return c.Image
			}
		}
	}
	return spec.Containers[0].Image
}

// completeContainers offers those of the instance that stands on the line.
func (a *app) completeContainers(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return a.names(-1, func(ctx context.Context, c *client.Client) (names []string, err error) {
		if len(args) == 0 {
			return nil, nil
		}
		inst, err := c.Get(ctx, args[0])
		for _, one := range append(inst.Spec.Containers, inst.Spec.InitContainers...) {
			names = append(names, one.Name)
		}
		return names, err
	})(cmd, nil, toComplete)
}
