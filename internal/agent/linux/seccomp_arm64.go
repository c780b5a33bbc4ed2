package linux

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	// firstForeign: there is no second ABI.
	firstForeign = 1 << 31
)

// The architecture has neither calls of long ago nor ports.
var oldCalls, portCalls []uint32
