package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// port is a virtio port. The kernel has nothing to read from one that the host has not
// opened, and says so at once and each time. It wakes who polls it when that changes.
type port struct {
	*os.File
	raw syscall.RawConn
	// away: it was told that the host has gone.
	away bool
}

func openPort(ctx context.Context, name string) (*port, error) {
	path, err := await(ctx, findPort(name))
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &port{File: file, raw: raw}, nil
}

// Read implements io.Reader. It gives nothing, without an error, once when the host has
// gone. One at a time reads.
func (p *port) Read(buf []byte) (n int, err error) {
	waitErr := p.raw.Read(func(fd uintptr) (done bool) {
		n, err = unix.Read(int(fd), buf)
		told := p.away
		p.away = n == 0 && err == nil
		return !errors.Is(err, unix.EAGAIN) && !(p.away && told)
	})
	if waitErr != nil {
		return 0, waitErr
	}
	return max(n, 0), err
}

// findPort finds the virtio port with a name.
func findPort(name string) func() (string, error) {
	return func() (string, error) {
		paths, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return "", err
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err == nil && strings.TrimSpace(string(data)) == name {
				return "/dev/" + filepath.Base(filepath.Dir(path)), nil
			}
		}
		return "", fmt.Errorf("port %s: %w", name, errNoDevice)
	}
}
