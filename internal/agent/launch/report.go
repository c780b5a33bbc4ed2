package launch

import (
	"errors"
	"fmt"
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

// Listen returns what the launcher has to say, when that has become its program or has ended,
// or when the other end of dismissed is closed.
func Listen(at string, dismissed *os.File) (string, error) {
	if err := makeReport(at); err != nil {
		return "", err
	}
	defer os.Remove(at)
	report, err := unix.Open(at, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open the pipe of the launch: %w", err)
	}
	defer unix.Close(report)
	words := make([]byte, 0, maxReport)
	for len(words) < maxReport {
		// Before the launcher has opened the pipe there is nothing to wait for but this: a read
		// would find the pipe at its end.
		ends := []unix.PollFd{{Fd: int32(report), Events: unix.POLLIN}, {Fd: int32(dismissed.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(ends, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return "", fmt.Errorf("wait for the launch: %w", err)
		}
		if ends[0].Revents == 0 {
			if ends[1].Revents != 0 {
				break
			}
			continue
		}
		n, err := unix.Read(report, words[len(words):maxReport])
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return "", fmt.Errorf("read how the launch went: %w", err)
		}
		if err == nil && n == 0 {
			break
		}
		words = words[:len(words)+max(n, 0)]
	}
	return string(words), nil
}
