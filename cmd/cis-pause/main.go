// Command cis-pause is the small program that helps cis-agent with what must
// happen inside a sandbox:
//
//	cis-pause              holds the sandbox open as its root container; each line
//	                       of standard input is a new hostname, answered by "ok" or
//	                       the error on standard output; it ends when input ends.
//	                       As process 1 of the containers' it ignores all signals
//	cis-pause pack PATH    writes a tar of PATH to standard output
//	cis-pause unpack PATH  unpacks a tar from standard input below PATH
//	cis-pause publish PATH makes the files of a tar from standard input all that PATH shows
//	cis-pause dial [ADDRESS:]PORT
//	                       joins the socket that is its standard input with a TCP
//	                       port, of localhost where no address is given
//	cis-pause try tcp|udp ADDRESS:PORT MILLISECONDS
//	                       tells on standard output whether a port can be reached
//	cis-pause keyboard     tells on standard output, a byte each, the signals of
//	                       the terminal that is its standard input
//	cis-pause launch ORDER COMMAND…
//	                       becomes the program of a new container (package launch)
//	cis-pause listen PIPE  tells on standard output why a launch failed
//	cis-pause words FILE   tells on standard output what a program left in its file for last
//	                       words, and removes that
//	cis-pause contain DIR  becomes the program of a new container, in a VM; the
//	                       orders come over a socket, which is descriptor 3
//	cis-pause join         becomes one more program of a container
//
// With gVisor it is the root container, publish, dial, try, listen and words run in there, launch in
// other containers, and keyboard on the host.
// In a VM every program of a container begins as contain or join, and the first one holds
// the PID namespace open that containers share, where they do. With both, pack and unpack run
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
	"os/signal"
	"runtime/debug"
	"syscall"

	"cis/internal/agent/fileset"
	"cis/internal/agent/lastwords"
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
	case len(args) == 2 && args[0] == "publish":
		return publish(args[1], os.Stdin)
	case len(args) == 2 && args[0] == "dial":
		return dial(args[1], os.Stdin, os.Stdout)
	case len(args) == 4 && args[0] == "try":
		return try(args[1], args[2], args[3], os.Stdout)
	case len(args) == 1 && args[0] == "keyboard":
		return keyboard(os.Stdout)
	case len(args) > 2 && args[0] == "launch":
		return launch.Launch(args[1], args[2:], os.Environ())
	case len(args) == 2 && args[0] == "listen":
		return launch.Listen(args[1], os.Stdout)
	case len(args) == 2 && args[0] == "words":
		return words(args[1], os.Stdout)
	case len(args) == 2 && args[0] == "contain":
		return report(inside.Contain(args[1]))
	case len(args) == 1 && args[0] == "join":
		return report(inside.Join())
	}
	return fmt.Errorf("usage: cis-pause [pack PATH | unpack PATH | publish PATH | dial [ADDRESS:]PORT | try tcp|udp ADDRESS:PORT MILLISECONDS | keyboard | launch ORDER COMMAND… | listen PIPE | words FILE | contain DIR | join]")
}

func words(file string, out io.Writer) error {
	defer os.Remove(file)
	text, err := lastwords.Read(file)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// report tells the agent why this did not become another program.
func report(err error) error {
	if err != nil {
		fmt.Fprint(os.NewFile(inside.Control, "control"), err)
	}
	return err
}

func publish(dir string, in io.Reader) error {
	files, err := fileset.Unpack(in)
	if err != nil {
		return err
	}
	return fileset.Publish(dir, files)
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
	// Containers that share their processes may signal this one; and what they leave behind
	// is its to wait for, unless it ignores SIGCHLD.
	signal.Ignore()
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
