// Package sealed makes files that are nowhere in the file system, and that nobody can
// change once they are sealed, whoever has them open.
//
// It knows nothing of what is in them.
package sealed

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// New makes an empty file in memory, close-on-exec and not yet sealed. Its name shows
// in /proc only.
func New(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make %s in memory: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Seal makes that the content of a file of New, and its size, can never change again.
func Seal(f *os.File) error {
	const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, all); err != nil {
		return fmt.Errorf("seal %s: %w", f.Name(), err)
	}
	return nil
}
