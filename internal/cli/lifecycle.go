package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cis/api"
	"cis/client"
)

// eachLimit is how many instances one command works on at the same time.
const eachLimit = 16

// each does one thing to several instances at once. What do returns is printed
// in the order of the names; every failure is told, and makes the exit code 1.
func (a *app) each(ctx context.Context, refs []string, do func(context.Context, *client.Client, string) (string, error)) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	type result struct {
		text string
		err  error
	}
	slots := make(chan struct{}, eachLimit)
	results := make([]chan result, len(refs))
	for i, ref := range refs {
		results[i] = make(chan result, 1)
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			text, err := do(ctx, c, ref)
			results[i] <- result{text, err}
		}()
	}
	failed := false
	for _, ch := range results {
		r := <-ch
		if r.err != nil {
			failed = true
			a.printError(r.err)
			continue
		}
		fmt.Fprintln(a.Out, r.text)
	}
	if failed {
		return exitWith(exitFailure, nil)
	}
	return nil
}

// instancesCommand is a command on one or more instances.
func (a *app) instancesCommand(use, short, long, examples string, do func(context.Context, *client.Client, string) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME...", Short: short, Long: long, Example: example(examples),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeInstances(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.each(cmd.Context(), args, do)
		},
	}
}

// graceFlag adds -t; its value is nil unless given: the instance's own.
func graceFlag(cmd *cobra.Command, grace **time.Duration) {
	cmd.Flags().VarP(graceValue{grace}, "time", "t", "seconds from the stop signal to the kill (default: the instance's own)")
}

type graceValue struct{ grace **time.Duration }

func (g graceValue) Type() string { return "SECONDS" }

func (g graceValue) String() string {
	if *g.grace == nil {
		return ""
	}
	return (*g.grace).String()
}

func (g graceValue) Set(v string) error {
	n, err := parseSeconds(v)
	if err != nil {
		return err
	}
	d := time.Duration(n) * time.Second
	*g.grace = &d
	return nil
}

func (a *app) stopCommand() *cobra.Command {
	var grace *time.Duration
	cmd := a.instancesCommand("stop", "Stop instances", "Ask the programs to end, kill them after the grace period, and give the sandbox back.\n"+
		"The record and the logs stay until rm, and start runs the instance again.", `
cis stop web
cis stop -t 30 web db
cis stop $(cis ps -q)`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			_, err := c.Stop(ctx, ref, grace)
			return ref, err
		})
	graceFlag(cmd, &grace)
	return cmd
}

func (a *app) startCommand() *cobra.Command {
	return a.instancesCommand("start", "Start instances that have ended", "Run instances that have ended again, with the address they had.", `
cis start web
cis start web db`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			_, err := c.Start(ctx, ref)
			return ref, err
		})
}

func (a *app) restartCommand() *cobra.Command {
	var grace *time.Duration
	cmd := a.instancesCommand("restart", "Stop instances and start them again", "Stop instances and start them again, with the address they had.", `
cis restart web
cis restart -t 0 web`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			_, err := c.Restart(ctx, ref, grace)
			return ref, err
		})
	graceFlag(cmd, &grace)
	return cmd
}

func (a *app) killCommand() *cobra.Command {
	number := signalValue(syscall.SIGKILL)
	var container string
	cmd := a.instancesCommand("kill", "Send a signal to the program of instances", "Send a signal, KILL unless told otherwise, to the main program of instances.", `
cis kill web
cis kill -s HUP web
cis kill -s TERM -c sidecar web`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			return ref, c.Kill(ctx, ref, container, int(number))
		})
	cmd.Flags().VarP(&number, "signal", "s", "signal by name or number")
	cmd.Flags().StringVarP(&container, "container", "c", "", "container (default: the first)")
	return cmd
}

// signalValue is a signal's number, given as TERM, SIGTERM or 15.
type signalValue int

func (s *signalValue) Type() string { return "SIGNAL" }
func (s *signalValue) String() string {
	return strings.TrimPrefix(unix.SignalName(unix.Signal(*s)), "SIG")
}

func (s *signalValue) Set(v string) error {
	if n, err := strconv.Atoi(v); err == nil && n >= 1 && n <= 64 {
		*s = signalValue(n)
		return nil
	}
	name := strings.ToUpper(v)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	n := unix.SignalNum(name)
	if n == 0 {
		return fmt.Errorf("%q is not a signal: use a name such as TERM, or a number from 1 to 64", v)
	}
	*s = signalValue(n)
	return nil
}

func (a *app) rmCommand() *cobra.Command {
	var force bool
	var grace *time.Duration
	cmd := a.instancesCommand("rm", "Remove instances", "Delete the record and the logs of instances that have ended; with -f of running ones\n"+
		"too, which are ended first (at once, unless -t is given).", `
cis rm job
cis rm -f web db
cis rm $(cis ps -a -q --filter status=exited)`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			err := c.Remove(ctx, ref, force, grace)
			if force && api.CodeOf(err) == api.NotFound {
				err = nil // gone is what -f wants
			}
			return ref, err
		})
	cmd.Flags().BoolVarP(&force, "force", "f", false, "end running instances, and do not mind missing ones")
	graceFlag(cmd, &grace)
	return cmd
}

func (a *app) waitCommand() *cobra.Command {
	return a.instancesCommand("wait", "Wait for instances to end and print their exit codes",
		"Wait until each instance has ended, and print its exit code.", `
cis wait job
test "$(cis wait job)" = 0 && echo done`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			inst, err := c.Wait(ctx, ref)
			if err != nil {
				return "", err
			}
			if inst.Status.ExitCode == nil {
				return "", api.Errorf(api.Conflict, "%s ended without running: %s", ref, firstOf(inst.Status.Message, inst.Status.Reason, "no reason is known"))
			}
			return strconv.Itoa(*inst.Status.ExitCode), nil
		})
}
