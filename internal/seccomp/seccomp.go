// Package seccomp sets filters of system calls.
package seccomp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Set sets a filter for the calling thread, and for what it executes. It wants
// CAP_SYS_ADMIN or no_new_privs, see seccomp(2). An empty filter is none.
func Set(filter []unix.SockFilter) error {
	if len(filter) == 0 {
		return nil
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}
