package runsc

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// keyboard makes the terminal's signals (Ctrl-C, a new window size, the hang-up)
// reach the program in the foreground of the sandbox. The kernel sends them to the
// session whose terminal it is, so a small process on the host leads one and
// passes them on until stop is called. Without it a program still runs, so a
// failure is none of the start's.
func (s *Sandbox) keyboard(terminal *os.File, container string, pid int32) (stop func()) {
	none := func() {}
	if terminal == nil {
		return none
	}
	signals, theirs, err := os.Pipe()
	if err != nil {
		return none
	}
	defer theirs.Close()
	cmd := exec.Command(s.conf.Pause, "keyboard")
	cmd.Stdin, cmd.Stdout, cmd.Env = terminal, theirs, []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		signals.Close()
		return none
	}
	go func() {
		defer cmd.Wait()
		defer signals.Close()
		one := make([]byte, 1)
		for {
			if _, err := io.ReadFull(signals, one); err != nil {
				return
			}
			s.signalForeground(container, pid, int32(one[0]))
		}
	}()
	return func() { cmd.Process.Kill() }
}

func (s *Sandbox) signalForeground(container string, pid, signal int32) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.control.call(ctx, methodSignal, signalArgs{CID: container, PID: pid, Signo: signal, Mode: toForeground}, nil)
}
