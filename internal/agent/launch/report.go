package launch

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxReport bounds what is read of a launcher's words, in bytes.
const maxReport = 4096

// makeReport makes the pipe of a launch, which launcher and listener do, whoever is first.
func makeReport(at string) error {
	if err := unix.Mkfifo(at, 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make the pipe of the launch: %w", err)
	}
	return nil
}

// openReport returns when the listener listens.
func openReport(at string) (*os.File, error) {
	if err := makeReport(at); err != nil {
		return nil, err
	}
	return os.OpenFile(at, os.O_WRONLY, 0)
}

// Listen writes what the launcher has to say to out, and returns when it has become its
// program, or has ended. It runs in the root container.
func Listen(at string, out io.Writer) error {
	if err := makeReport(at); err != nil {
		return err
	}
	defer os.Remove(at)
	report, err := os.Open(at)
	if err != nil {
		return err
	}
	defer report.Close()
	_, err = io.Copy(out, io.LimitReader(report, maxReport))
	return err
}
