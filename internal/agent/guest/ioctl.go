package guest

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl calls a driver with a structure of its own, or with nothing.
func ioctl(file *os.File, request uint, data []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), uintptr(request), uintptr(unsafe.Pointer(unsafe.SliceData(data))))
	if errno != 0 {
		return errno
	}
	return nil
}
