package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) runCommand() *cobra.Command {
	spec := &specBuilder{getenv: a.Getenv}
	var detach bool
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [COMMAND] [ARG...]",
		Short: "Create an instance from an image and run it",
		Long: "Create an instance with one container, join its output (and input with -i), and exit with\n" +
			"the program's exit code: 125 when cis fails, 126 or 127 when the program cannot be run.\n\n" +
			"Ctrl-C stops the instance, a second one kills it. With -t, ctrl-p ctrl-q leaves it running.\n" +
			"Over a restart of cisd the output goes on, unless standard input is a pipe (-i without -t).",
		Example: example(`
cis run --rm --cpu 0.5 --memory 256Mi busybox echo hello
cis run --rm -it debian bash
cis run -d --name web --restart always nginx
echo data | cis run --rm -i busybox wc -c`),
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: a.completeImages(1),
		Annotations:       map[string]string{passesExitCode: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			req := spec.build(args[0], args[1:], detach)
			if detach {
				return a.runDetached(cmd.Context(), req)
			}
			return a.runAttached(cmd.Context(), req)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&detach, "detach", "d", false, "leave it running and print its name")
	addSpecFlags(f, spec)
	a.completeSpecFlags(cmd)
	return cmd
}

// runDetached returns when the program runs, or cannot.
func (a *app) runDetached(ctx context.Context, req api.CreateInstance) error {
	r, err := a.newRunner(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.create(req); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	started := false
	var complaint headWriter
	code, err := r.attach(ctx, client.Streams{Stderr: &complaint, Started: func() { started = true; cancel() }})
	switch {
	case started:
	case err != nil:
		return r.failed(err)
	case cannotRun(code) && complaint.fromCis():
		return exitWith(code, errors.New(complaint.text()))
	}
	fmt.Fprintln(a.Out, r.inst.Spec.Name)
	return nil
}

// runAttached joins the program from its first output to its end.
func (a *app) runAttached(ctx context.Context, req api.CreateInstance) error {
	c := &req.Containers[0]
	if err := a.checkTTY(c.Stdin, c.TTY); err != nil {
		return err
	}
	r, err := a.newRunner(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.create(req); err != nil {
		return err
	}
	s, err := a.open(r.ctx, c.Stdin, c.TTY, true)
	if err != nil {
		return err
	}
	code, err := r.attach(s.ctx, s.streams)
	s.close()
	switch {
	case s.detached:
		return nil
	case err != nil:
		return r.failed(err)
	}
	return exitWith(code, r.explain(code))
}

// runner is one run: an instance from its creation on, and the signals that end it.
type runner struct {
	app     *app
	conn    *client.Client
	ctx     context.Context
	close   func()
	inst    api.Instance
	signals chan os.Signal
	// stopped is the first signal that asked for the end.
	stopped chan os.Signal
	// patience is how long it waits for a cisd that has gone.
	patience time.Duration
}

func (a *app) newRunner(ctx context.Context) (*runner, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &runner{app: a, conn: c, ctx: ctx, signals: make(chan os.Signal, 4), stopped: make(chan os.Signal, 1), patience: rejoinTime}
	r.close = cancel
	heard := make(chan os.Signal, 4)
	signal.Notify(heard, os.Interrupt, syscall.SIGTERM)
	go r.listen(ctx, heard)
	return r, nil
}

// signalEcho is within which a repeated signal is taken for the same one: timeout
// and others signal a process and then its whole group.
const signalEcho = 100 * time.Millisecond

// listen takes the signals that end a run, until ctx does.
func (r *runner) listen(ctx context.Context, heard chan os.Signal) {
	defer signal.Stop(heard)
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-heard:
			if now := time.Now(); now.Sub(last) >= signalEcho {
				last = now
				r.signals <- s
			}
		}
	}
}

// create does not end on the first signal, which would leave open whether there
// is an instance: it is stopped once its name is known.
func (r *runner) create(req api.CreateInstance) error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		r.inst, err = r.conn.Create(ctx, req)
	}()
	var pending []os.Signal
	for {
		select {
		case <-done:
			for _, s := range pending {
				r.signals <- s
			}
			r.warn(req)
			return err
		case s := <-r.signals:
			if pending = append(pending, s); len(pending) > 1 {
				cancel()
				<-done
				return exitWith(exitCode(s), err)
			}
		}
	}
}

// warn tells those who ask for a VM when it is not what they expect.
func (r *runner) warn(req api.CreateInstance) {
	if r.inst.Status.Emulated && req.Isolation == api.IsolationVM {
		fmt.Fprintln(r.app.Err, "cis: warning: this host has no working KVM, so the VM is emulated and about twelve times slower")
	}
}

// attach joins the program. It gives up when the start fails for good, or when
// stopping it fails.
func (r *runner) attach(ctx context.Context, s client.Streams) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go r.handleSignals(ctx, cancel)
	start := starting{app: r.app, conn: r.conn, instance: r.inst.ID, containers: allContainers}
	return start.join(ctx, s, r.follow)
}

// handleSignals passes the first signal on as a stop, the second as a kill; the
// third gives up waiting.
func (r *runner) handleSignals(ctx context.Context, giveUp context.CancelCauseFunc) {
	kill := time.Duration(0)
	for count := 1; ; count++ {
		var s os.Signal
		select {
		case s = <-r.signals:
		case <-ctx.Done():
			return
		}
		var grace *time.Duration
		switch count {
		case 1:
			r.stopped <- s
		case 2:
			grace = &kill
		default:
			giveUp(context.Canceled)
			return
		}
		go func() {
			_, err := r.conn.Stop(ctx, r.inst.ID, grace)
			if code := api.CodeOf(err); err != nil && ctx.Err() == nil && code != api.NotFound && code != api.Conflict {
				giveUp(err)
			}
		}()
	}
}

// failed tells why a run ended without an exit code. An instance that never got
// as far as its program is removed, so that its name is free again.
func (r *runner) failed(err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 10*time.Second)
	defer cancel()
	inst, getErr := r.conn.Get(ctx, r.inst.ID)
	neverRan := getErr == nil && inst.Status.StartedAt == nil
	var start *startError
	switch sig := r.stopSignal(); {
	case sig != nil:
		// It was stopped before there was a program with a code of its own.
		err = exitWith(exitCode(sig), nil)
	case errors.As(err, &start):
		err = start.err
	case neverRan && startFailure(allContainers(&inst.Status), "") != nil:
		err = startFailure(allContainers(&inst.Status), "")
	case api.CodeOf(getErr) == api.NotFound, getErr == nil && inst.Status.Phase.Finished():
		return err
	default:
		return lost(err, r.inst.Spec.Name)
	}
	if !neverRan {
		return err
	}
	if rmErr := r.conn.Remove(ctx, r.inst.ID, true, nil); rmErr != nil && api.CodeOf(rmErr) != api.NotFound {
		r.app.printError(rmErr)
	}
	return err
}

// stopSignal is the first signal that asked for the end, or nil.
func (r *runner) stopSignal() os.Signal {
	select {
	case s := <-r.stopped:
		return s
	default:
		return nil
	}
}

// explain says why a program was ended, where its code hints at that: Wait gives
// the last state, of a removed instance too. The code alone is enough for all else.
func (r *runner) explain(code int) error {
	if code != exitCode(syscall.SIGKILL) && code != exitCode(syscall.SIGTERM) || r.stopSignal() != nil {
		return nil
	}
	inst, err := r.conn.Wait(r.ctx, r.inst.ID)
	if err != nil {
		return nil
	}
	return endFailure(&inst)
}

// cannotRun is true for the codes of a program that could not be run.
func cannotRun(code int) bool { return code == 126 || code == 127 }

// exitCode of a program that a signal ended, as shells count.
func exitCode(s os.Signal) int {
	if n, ok := s.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailure
}
