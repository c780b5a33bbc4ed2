package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"
)

// keyboard passes on the signals that the kernel sends to a terminal's session:
// interrupts typed, a new window size, the hang-up, which is the last. This
// process leads that session; the programs that should get them are in the sandbox.
func keyboard(out io.Writer) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGWINCH, syscall.SIGHUP)
	// A session keeps its terminal without an open file; an open one would keep
	// the terminal's other end from seeing that the sandbox has closed it.
	if err := syscall.Close(0); err != nil {
		return err
	}
	for {
		got := (<-signals).(syscall.Signal)
		if _, err := out.Write([]byte{byte(got)}); err != nil {
			return err
		}
		if got == syscall.SIGHUP {
			return nil
		}
	}
}
