package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) portForwardCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "port-forward NAME [LOCAL:]REMOTE...",
		Short: "Reach ports of an instance from here",
		Long: "Listen on local ports and join every connection with a port inside, as a program\n" +
			"there would reach it on localhost, until interrupted. Without LOCAL the port is the\n" +
			"same here; LOCAL 0 takes a free one.",
		Example: example(`
cis port-forward web 8080:80
cis port-forward db 5432
cis port-forward --address 0.0.0.0 web 8080:80 8443:443`),
		Args:              usageArgs(cobra.MinimumNArgs(2)),
		ValidArgsFunction: a.completeInstances(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ports, err := parseForwards(args[1:])
			if err != nil {
				return err
			}
			return a.portForward(cmd.Context(), args[0], address, ports)
		},
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1", "local address to listen on")
	return cmd
}

// forward is one pair of ports.
type forward struct{ local, remote uint16 }

func parseForwards(args []string) ([]forward, error) {
	var forwards []forward
	for _, arg := range args {
		local, remote, both := strings.Cut(arg, ":")
		if !both {
			remote = local
		}
		l, lErr := strconv.ParseUint(local, 10, 16)
		r, rErr := strconv.ParseUint(remote, 10, 16)
		if lErr != nil || rErr != nil || r == 0 {
			return nil, usagef("%q is not [LOCAL:]REMOTE with ports from 1 to 65535", arg)
		}
		forwards = append(forwards, forward{uint16(l), uint16(r)})
	}
	return forwards, nil
}

func (a *app) portForward(ctx context.Context, ref, address string, ports []forward) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	inst, err := c.Get(ctx, ref)
	if err != nil {
		return err
	}
	if inst.Status.Phase != api.PhaseRunning {
		return api.Errorf(api.Conflict, "%s is not running: it is %s", inst.Spec.Name, inst.Status.Phase).
			WithNext("look with 'cis inspect %s'", inst.Spec.Name)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, p := range ports {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(int(p.local))))
		if err != nil {
			return fmt.Errorf("listen for port %d: %w", p.remote, err)
		}
		defer listener.Close()
		fmt.Fprintf(a.Out, "Forwarding %s -> %s:%d\n", listener.Addr(), inst.Spec.Name, p.remote)
		go func() { cancel(a.serveForward(ctx, c, inst.ID, p.remote, listener)) }()
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// serveForward joins every connection with the port until the listener fails.
func (a *app) serveForward(ctx context.Context, c *client.Client, ref string, port uint16, listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := c.PortForward(ctx, ref, port, conn); err != nil && ctx.Err() == nil {
				a.printError(fmt.Errorf("port %d: %w", port, err))
			}
		}()
	}
}
