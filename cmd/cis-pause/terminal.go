package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// execError is why a program could not be executed, with the exit code that a shell
// gives for it.
type execError struct {
	name string
	err  error
	code int
}

func (e *execError) Error() string { return fmt.Sprintf("exec %s: %v", e.name, e.err) }
func (e *execError) Unwrap() error { return e.err }

// terminal makes the terminal that is standard input the session's, and becomes a
// program. It comes back only with an error.
func terminal(args []string) error {
	// Who leads a session already stays its leader.
	if _, err := syscall.Setsid(); err != nil && !errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("begin a session: %w", err)
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCSCTTY, 0); errno != 0 {
		return fmt.Errorf("take the terminal: %w", errno)
	}
	path, err := exec.LookPath(args[0])
	if err == nil {
		err = syscall.Exec(path, args, os.Environ())
	}
	code := 126
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = 127
	}
	return &execError{args[0], err, code}
}
