package linux

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	// firstForeign is the first number of the x32 ABI, see syscall(2).
	firstForeign = 0x40000000
)

// oldCalls exist on this architecture only for programs of long ago, portCalls give
// access to the machine's ports.
var (
	oldCalls = []uint32{
		unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS__SYSCTL, unix.SYS_GET_KERNEL_SYMS, unix.SYS_QUERY_MODULE,
		unix.SYS_CREATE_MODULE,
	}
	portCalls = []uint32{unix.SYS_IOPL, unix.SYS_IOPERM}
)
