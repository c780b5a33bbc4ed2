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
)

func main() {
	// One of these runs for each instance: keep it small.
	debug.SetGCPercent(25)
	debug.SetMemoryLimit(64 << 20)
	runtime.GOMAXPROCS(2)
	// ttrpc logs what its callers are told anyway.
	_ = ttrpclog.SetLevel("panic")
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	if len(os.Args) != 3 || os.Args[1] != "gvisor" {
		fmt.Fprintln(os.Stderr, "usage: cis-agent gvisor CONFIG (cisd starts it)")
		os.Exit(2)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(context.Background(), os.Args[2], log); err != nil {
		log.Error("the agent ends", "error", err)
		os.Exit(1)
	}
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
