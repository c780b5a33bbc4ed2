// Command cis-agent supervises one instance: beside a gVisor sandbox as a process
// of the host. It is started by cisd, with descriptor 3 as the pipe on which it
// tells that it is ready, and outlives it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	ttrpclog "github.com/containerd/log"

	"cis/internal/agent"
	"cis/internal/agent/runsc"
	"cis/internal/machine/qemu/jail"
)

func main() {
	// One of these runs for each instance: keep it small.
	debug.SetGCPercent(25)
	debug.SetMemoryLimit(64 << 20)
	runtime.GOMAXPROCS(2)
	// ttrpc logs what its callers are told anyway.
	_ = ttrpclog.SetLevel("panic")
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch {
	case len(os.Args) > 1 && os.Args[1] == jail.Verb:
		fail(log, enterJail(os.Args[1:]))
	case len(os.Args) == 1 && os.Getpid() == 1:
		// What it says goes to the console, which is slow and meant for the kernel.
		quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		fail(log, runGuest(context.Background(), quiet))
	case len(os.Args) == 3 && os.Args[1] == "gvisor":
		fail(log, run(context.Background(), os.Args[2], log))
	}
	fmt.Fprintln(os.Stderr, "usage: cis-agent gvisor CONFIG (cisd starts it)")
	os.Exit(2)
}

// fail ends a program that never ends in any other way.
func fail(log *slog.Logger, err error) {
	log.Error("the agent ends", "error", err)
	os.Exit(1)
}

func enterJail(args []string) error {
	cell, err := jail.Parse(args)
	if err != nil {
		return err
	}
	return jail.Enter(cell)
}

// run boots the sandbox and serves until it is killed, or its socket is removed.
func run(ctx context.Context, path string, log *slog.Logger) error {
	c, err := runsc.LoadConfig(path)
	if err != nil {
		return tell(err)
	}
	sandbox, err := runsc.Boot(ctx, c)
	if err != nil {
		return tell(err)
	}
	listener, err := net.Listen("unix", c.SocketPath())
	if err != nil {
		return tell(fmt.Errorf("listen: %w", err))
	}
	removed, err := gone(c.SocketPath())
	if err != nil {
		return tell(err)
	}
	served := make(chan error, 1)
	a := agent.New(ctx, sandbox, agent.Options{StateDir: c.Dir, Log: log})
	go func() { served <- a.Serve(listener) }()
	if err := runsc.Ready(nil); err != nil {
		return err
	}
	// What was needed for the boot is not needed again.
	debug.FreeOSMemory()
	select {
	case err := <-served:
		return err
	case <-removed:
		return errors.New("the socket was removed")
	}
}

// tell passes a failure on to cisd and returns it.
func tell(err error) error {
	if told := runsc.Ready(err); told != nil {
		return fmt.Errorf("%w (and %v)", err, told)
	}
	return err
}
