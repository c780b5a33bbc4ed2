// Command cis-pause is the small program that helps cis-agent with what must
// happen inside a sandbox:
//
//	cis-pause              holds the sandbox open as its root container, and does what
//	                       it is told on standard input (package errand); it ends when
//	                       input ends. As process 1 of the containers' it ignores all
//	                       signals
//	cis-pause pack PATH    writes a tar of PATH to standard output
//	cis-pause unpack PATH  unpacks a tar from standard input below PATH
//	cis-pause dial [ADDRESS:]PORT
//	                       joins the socket that is its standard input with a TCP
//	                       port, of localhost where no address is given
//	cis-pause keyboard     tells on standard output, a byte each, the signals of
//	                       the terminal that is its standard input
//	cis-pause launch ORDER COMMAND…
//	                       becomes the program of a new container (package launch)
//	cis-pause contain DIR  becomes the program of a new container, in a VM; the
//	                       orders come over a socket, which is descriptor 3
//	cis-pause join         becomes one more program of a container
//
// With gVisor it is the root container, dial runs in there, launch in other containers, and keyboard
// on the host.
// In a VM every program of a container begins as contain or join, and the first one holds
// the PID namespace open that containers share, where they do. With both, pack and unpack run
// in a container from outside of its file system, so they need nothing of its image,
// and see only what the container sees.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"

	"cis/internal/agent/errand"
	"cis/internal/agent/launch"
	"cis/internal/agent/linux/inside"
	"cis/internal/agent/tarcopy"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitCode(err))
	}
}

func run(args []string) error {
	switch {
	case len(args) == 0:
		return hold(os.Stdin, os.Stdout)
	case len(args) == 2 && args[0] == "pack":
		return tarcopy.Pack(os.Stdout, args[1])
	case len(args) == 2 && args[0] == "unpack":
		return tarcopy.Unpack(args[1], os.Stdin)
	case len(args) == 2 && args[0] == "dial":
		return dial(args[1], os.Stdin, os.Stdout)
	case len(args) == 1 && args[0] == "keyboard":
		return keyboard(os.Stdout)
	case len(args) > 2 && args[0] == "launch":
		return launch.Launch(args[1], args[2:], os.Environ())
	case len(args) == 2 && args[0] == "contain":
		return report(inside.Contain(args[1]))
	case len(args) == 1 && args[0] == "join":
		return report(inside.Join())
	}
	return fmt.Errorf("usage: cis-pause [pack PATH | unpack PATH | dial [ADDRESS:]PORT | keyboard | launch ORDER COMMAND… | contain DIR | join]")
}

// report tells the agent why this did not become another program.
func report(err error) error {
	if err != nil {
		fmt.Fprint(os.NewFile(inside.Control, "control"), err)
	}
	return err
}

// exitCode tells a missing path apart, so that the agent can say not found.
func exitCode(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return tarcopy.ExitNotFound
	}
	return 1
}

// maxMemory is what the one that holds a sandbox may take before it collects garbage, in bytes.
const maxMemory = 16 << 20

// hold does errands until its input ends: the agent holds the other end, so that the sandbox
// ends with the agent.
func hold(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(maxMemory)
	// Containers that share their processes may signal this one; and what they leave behind
	// is its to wait for, unless it ignores SIGCHLD.
	signal.Ignore()
	return errand.Serve(in, out)
}
