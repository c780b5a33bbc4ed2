package agent

import (
	"fmt"
	"os"
	"strconv"

	"cis/internal/agent/runtime"

	"golang.org/x/sys/unix"
)

// stdio is both ends of a program's standard streams. With a terminal, in and out
// are the same file, and err is nil.
type stdio struct {
	program  runtime.Stdio
	in       *os.File // nil where the program reads /dev/null
	out, err *os.File
}

// newStdio makes pipes, or a terminal.
func newStdio(tty, stdin bool) (*stdio, error) {
	s := new(stdio)
	var err error
	if tty {
		err = s.openTerminal()
	} else {
		err = s.openPipes(stdin)
	}
	if err != nil {
		s.closeProgram()
		s.closeOurs()
		return nil, fmt.Errorf("make standard streams: %w", err)
	}
	return s, nil
}

func (s *stdio) openPipes(stdin bool) (err error) {
	if s.out, s.program.Stdout, err = outPipe(); err != nil {
		return err
	}
	if s.err, s.program.Stderr, err = outPipe(); err != nil {
		return err
	}
	if stdin {
		s.program.Stdin, s.in, err = inPipe()
		return err
	}
	s.program.Stdin, err = os.Open(os.DevNull)
	return err
}

// outPipe is a pipe that the program writes, inPipe one that it reads. Our end does
// not block, the program's does: each end has its own file status.
func outPipe() (ours, theirs *os.File, err error) {
	r, w, err := pipe()
	if err != nil {
		return nil, nil, err
	}
	unix.SetNonblock(r, true)
	return os.NewFile(uintptr(r), "output"), os.NewFile(uintptr(w), "program's output"), nil
}

func inPipe() (theirs, ours *os.File, err error) {
	r, w, err := pipe()
	if err != nil {
		return nil, nil, err
	}
	unix.SetNonblock(w, true)
	return os.NewFile(uintptr(r), "program's input"), os.NewFile(uintptr(w), "input"), nil
}

func pipe() (r, w int, err error) {
	var fds [2]int
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds[0], fds[1], err
}

func (s *stdio) openTerminal() error {
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := unix.Open("/dev/ptmx", flags|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open /dev/ptmx: %w", err)
	}
	s.out = os.NewFile(uintptr(fd), "terminal")
	s.in = s.out
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock the terminal: %w", err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("find the terminal's other end: %w", err)
	}
	s.program.Terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(n)), flags, 0)
	return err
}

// closeProgram closes the program's ends. Pipes want that right after the start,
// so that they end with the program; a terminal only when it has ended, so that it
// is not hung up while the program has it closed.
func (s *stdio) closeProgram() {
	for _, f := range []*os.File{s.program.Stdin, s.program.Stdout, s.program.Stderr, s.program.Terminal} {
		if f != nil {
			f.Close()
		}
	}
}

func (s *stdio) closeOurs() {
	for _, f := range []*os.File{s.in, s.out, s.err} {
		if f != nil {
			f.Close()
		}
	}
}

// resize tells a terminal its size. Zero, or no terminal: nothing happens.
func resize(terminal *os.File, width, height uint16) error {
	if width == 0 || height == 0 {
		return nil
	}
	conn, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	size := &unix.Winsize{Col: width, Row: height}
	ctlErr := conn.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size)
	})
	if ctlErr != nil {
		return ctlErr
	}
	return err
}
