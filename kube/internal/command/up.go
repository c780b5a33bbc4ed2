package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cis/kube/internal/bootstrap"
	"cis/kube/internal/home"
	"cis/kube/internal/pki"
	"cis/kube/internal/plane"
)

// upFlags are the settings as the command line has them.
type upFlags struct {
	listen, advertise, services string
	etcd                        plane.ExternalEtcd
	names, extra                []string
	node                        nodeFlags
	foreground, child           bool
}

func (a *app) upCommand() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the control plane and a node",
		Long: "Start the control plane in the background and wait until it is ready; the first time,\n" +
			"make it. All state is in the data directory, and survives down and crashes.\n" +
			"A node comes with it, whose pods are instances of this host's cisd (CIS_HOST says where\n" +
			"that listens). If cisd does not run yet, the node waits for it.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), &f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "0.0.0.0:6443", "`ADDRESS:PORT` of the API server; 0.0.0.0 is all addresses of this host")
	flags.StringVar(&f.advertise, "advertise-address", "", "`ADDRESS[:PORT]` at which pods find the API server (default a relay in their VPC, without services that of --listen or this host's own)")
	flags.StringVar(&f.services, "service-cidr", "10.96.0.0/16", "`NETWORK` of the addresses of Services; fixed once the cluster is made")
	flags.StringSliceVar(&f.etcd.URLs, "etcd", nil, "`URLS` of an external etcd, to be used instead of an own one")
	flags.StringVar(&f.etcd.CA, "etcd-ca", "", "`FILE` with the CA of the external etcd")
	flags.StringVar(&f.etcd.Cert, "etcd-cert", "", "`FILE` with the certificate to show to the external etcd")
	flags.StringVar(&f.etcd.Key, "etcd-key", "", "`FILE` with the key of --etcd-cert")
	flags.StringSliceVar(&f.names, "name", nil, "further `NAMES` or addresses of the API server, for its certificate")
	flags.StringArrayVar(&f.extra, "extra", nil, "further flag of a program, as `PROGRAM=--FLAG=VALUE`; may be repeated")
	f.node.define(cmd)
	flags.BoolVar(&f.foreground, "foreground", false, "stay in the foreground until interrupted, as under systemd")
	flags.BoolVar(&f.child, "child", false, "")
	// up starts itself with it.
	if err := flags.MarkHidden("child"); err != nil {
		panic(err)
	}
	return cmd
}

func (a *app) config(f *upFlags) (plane.Config, error) {
	c := plane.Config{DataDir: a.dataDir, External: f.etcd, Names: f.names, Version: a.Version}
	var err error
	if c.Program, err = os.Executable(); err != nil {
		return c, err
	}
	if c.Listen, err = netip.ParseAddrPort(f.listen); err != nil {
		return c, &plane.FieldError{Field: "listen", Message: fmt.Sprintf("%q is not ADDRESS:PORT, such as 127.0.0.1:6443", f.listen)}
	}
	if c.Advertise, err = plane.ParseAdvertise(f.advertise, c.Listen); err != nil {
		return c, err
	}
	if c.ServiceCIDR, err = netip.ParsePrefix(f.services); err != nil {
		return c, &plane.FieldError{Field: "service-cidr", Message: fmt.Sprintf("%q is not a network such as 10.96.0.0/16", f.services)}
	}
	c.Extra = map[string][]string{}
	for _, text := range f.extra {
		name, flag, _ := strings.Cut(text, "=")
		c.Extra[name] = append(c.Extra[name], flag)
	}
	if err := a.configNode(&f.node, &c); err != nil {
		return c, err
	}
	configMetrics(&f.node, &c)
	return c, c.Validate()
}

func (a *app) up(ctx context.Context, f *upFlags) error {
	c, err := a.config(f)
	if err != nil {
		return err
	}
	observer := plane.Observer{Say: a.say, Ready: func() error { return nil }}
	switch {
	case f.child:
		observer.Ready = func() error { return redirect(plane.LogFile(c.DataDir, "cis-kube")) }
		fallthrough
	case f.foreground:
		return plane.Run(ctx, c, bootstrap.Bootstrap{}, observer)
	}
	status, err := plane.AwaitReady(ctx, c.DataDir)
	switch {
	case errors.Is(err, plane.ErrNotRunning), err == nil && status.State == plane.Stopping:
		status, err = a.background(ctx, c)
	case err == nil:
		a.say("it runs already; other flags count after cis kube down")
	}
	if err != nil {
		return err
	}
	a.printUsage(status)
	return nil
}

// say prints a line of progress.
func (a *app) say(text string) { fmt.Fprintln(a.Err, "cis-kube: "+text) }

// redirect makes a log of this process' stderr; the end of the pipe tells the parent
// that all is ready.
func redirect(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Dup3(int(f.Fd()), int(os.Stderr.Fd()), 0)
}

// background starts the same command as a child that outlives this process and its
// terminal, and shows what it says until it is ready.
func (a *app) background(ctx context.Context, c plane.Config) (*plane.Status, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	child := exec.Command(c.Program, append(slices.Clone(a.Args), "--child")...)
	child.Stderr = in
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	in.Close()
	if err != nil {
		return nil, err
	}
	// Who interrupts the start wants nothing started. It is gone only if it has ended.
	defer context.AfterFunc(ctx, func() { _ = child.Process.Signal(syscall.SIGTERM) })()
	if _, err := io.Copy(a.Err, out); err != nil {
		return nil, err
	}
	status, err := plane.AwaitReady(context.WithoutCancel(ctx), c.DataDir)
	if err == nil {
		return status, child.Process.Release()
	}
	if waitErr := child.Wait(); waitErr != nil && ctx.Err() == nil {
		return nil, &childError{child.ProcessState.ExitCode()}
	}
	return nil, cmp.Or(ctx.Err(), err)
}

// childError is an error of which the child has told.
type childError struct{ code int }

func (e *childError) Error() string { return fmt.Sprintf("not started: exit code %d", e.code) }

func (a *app) printUsage(s *plane.Status) {
	fmt.Fprintf(a.Out, "Kubernetes %s is ready at %s\n\n", s.Version, s.Server)
	if s.Endpoint == "" {
		fmt.Fprintf(a.Out, "Pods cannot reach it: %s is for this host alone; see --advertise-address.\n\n", s.Server)
	}
	if s.DataDir != home.Default {
		fmt.Fprintf(a.Out, "  export %s=%s\n", home.Env, s.DataDir)
	}
	fmt.Fprintf(a.Out, `  cis kubectl get nodes     kubectl, as the administrator
  cis kube token            lets other nodes join
  cis kube status           what runs, and how
  cis kube down             stops it; all state stays

For other programs: export KUBECONFIG=%s
`, home.PKI(s.DataDir, pki.AdminConfig))
}
