// Command cis-pause is the small program that helps cis-agent with what must
// happen inside a sandbox:
//
//	cis-pause              holds the sandbox open as its root container; each line
//	                       of standard input is a new hostname, answered by "ok" or
//	                       the error on standard output; it ends when input ends
//	cis-pause pack PATH    writes a tar of PATH to standard output
//	cis-pause unpack PATH  unpacks a tar from standard input below PATH
//	cis-pause dial PORT    joins the socket that is its standard input with a TCP
//	                       port of localhost
//	cis-pause try tcp|udp ADDRESS:PORT MILLISECONDS
//	                       tells on standard output whether a port can be reached
//	cis-pause keyboard     tells on standard output, a byte each, the signals of
//	                       the terminal that is its standard input
//	cis-pause start DIR PROGRAM ARG...
//	                       becomes another program, in a session with a terminal;
//	                       if it cannot, it tells why on descriptor 4
//
// With gVisor it is the root container, dial and try run in there, and keyboard on the host.
// In a VM start begins every program of a container. With both, pack and unpack run
// in a container from outside of its file system, so they need nothing of its image,
// and see only what the container sees.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

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
	case len(args) == 4 && args[0] == "try":
		return try(args[1], args[2], args[3], os.Stdout)
	case len(args) == 1 && args[0] == "keyboard":
		return keyboard(os.Stdout)
	case len(args) >= 3 && args[0] == "start":
		report(start(args[1], args[2:]))
		os.Exit(1)
	}
	return fmt.Errorf("usage: cis-pause [pack PATH | unpack PATH | dial PORT | try tcp|udp ADDRESS:PORT MILLISECONDS | keyboard | start DIR PROGRAM ARG...]")
}

// exitCode tells a missing path apart, so that the agent can say not found.
func exitCode(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return tarcopy.ExitNotFound
	}
	return 1
}

// hold waits for hostnames until its input ends: the agent holds the other end,
// so that the sandbox ends with the agent.
func hold(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(-1)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer := "ok"
		if err := syscall.Sethostname(lines.Bytes()); err != nil {
			answer = err.Error()
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}
