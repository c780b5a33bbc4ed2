package linux

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// guarded are the system calls that a container may make only with one of the
// capabilities; without any, no container may. Most of them want the capability
// anyway: the filter keeps the kernel's code behind them out of reach. Keys are not
// divided among containers, so nobody gets at them.
var guarded = []struct {
	capabilities []string
	calls        []uint32
}{
	{nil, []uint32{
		unix.SYS_ADD_KEY, unix.SYS_KEYCTL, unix.SYS_REQUEST_KEY, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP,
		unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_NFSSERVCTL, unix.SYS_MOVE_PAGES, unix.SYS_MBIND,
		unix.SYS_MIGRATE_PAGES, unix.SYS_SET_MEMPOLICY, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	}},
	{nil, oldCalls},
	{[]string{"CAP_SYS_ADMIN"}, []uint32{
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT,
		unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_SETNS, unix.SYS_UNSHARE,
		unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SWAPON,
		unix.SYS_SWAPOFF, unix.SYS_FANOTIFY_INIT, unix.SYS_LOOKUP_DCOOKIE,
	}},
	{[]string{"CAP_SYS_ADMIN", "CAP_BPF"}, []uint32{unix.SYS_BPF}},
	{[]string{"CAP_SYS_ADMIN", "CAP_PERFMON"}, []uint32{unix.SYS_PERF_EVENT_OPEN}},
	{[]string{"CAP_SYS_MODULE"}, []uint32{unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE}},
	{[]string{"CAP_SYS_BOOT"}, []uint32{unix.SYS_REBOOT}},
	{[]string{"CAP_SYS_TIME"}, []uint32{unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX}},
	{[]string{"CAP_SYS_PACCT"}, []uint32{unix.SYS_ACCT}},
	{[]string{"CAP_SYS_RAWIO"}, portCalls},
	{[]string{"CAP_SYS_TTY_CONFIG"}, []uint32{unix.SYS_VHANGUP}},
	{[]string{"CAP_SYSLOG"}, []uint32{unix.SYS_SYSLOG}},
	{[]string{"CAP_SYS_PTRACE"}, []uint32{unix.SYS_KCMP}},
	{[]string{"CAP_DAC_READ_SEARCH"}, []uint32{unix.SYS_OPEN_BY_HANDLE_AT}},
}

// newNamespaces are the flags of clone that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Offsets in struct seccomp_data, see seccomp(2). The lower half of an argument comes
// first on the machines that we run on.
const (
	callOffset     = 0
	archOffset     = 4
	argumentOffset = 16
)

// Answers of a filter, see seccomp(2).
const (
	allow       = 0x7fff0000
	killProcess = 0x80000000
	fail        = 0x00050000 // with the error's number
)

// seccomp is the filter of a container with these capabilities, as the kernel takes
// it. It lets through what it does not name, but ends a program that makes calls of
// another architecture, or of another of this one's ABIs, whose numbers differ. What is
// unconfined is kept from nothing else but what only serves attacks on the VM.
func seccomp(capabilities []string, unconfined bool) []byte {
	load := func(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }
	program := []bpf.Instruction{
		load(archOffset),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: killProcess},
		load(callOffset),
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstForeign, SkipTrue: 1},
		bpf.RetConstant{Val: fail | uint32(unix.ENOSYS)},
	}
	deny := func(call uint32, errno unix.Errno) {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: call, SkipFalse: 1}, bpf.RetConstant{Val: fail | uint32(errno)})
	}
	has := func(name string) bool { return slices.Contains(capabilities, name) }
	for _, g := range guarded {
		if unconfined || slices.ContainsFunc(g.capabilities, has) {
			continue
		}
		for _, call := range g.calls {
			deny(call, unix.EPERM)
		}
	}
	if !unconfined && !has("CAP_SYS_ADMIN") {
		// Its flags are in memory, out of a filter's sight; programs fall back to clone.
		deny(unix.SYS_CLONE3, unix.ENOSYS)
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_CLONE, SkipFalse: 4},
			load(argumentOffset),
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: newNamespaces, SkipFalse: 1},
			bpf.RetConstant{Val: fail | uint32(unix.EPERM)},
			bpf.RetConstant{Val: allow})
	}
	program = append(program,
		// A way to whatever runs the VM.
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_SOCKET, SkipFalse: 3},
		load(argumentOffset),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_VSOCK, SkipFalse: 1},
		bpf.RetConstant{Val: fail | uint32(unix.EAFNOSUPPORT)},
		bpf.RetConstant{Val: allow})
	return assemble(program)
}

// assemble writes a program as an array of struct sock_filter.
func assemble(program []bpf.Instruction) []byte {
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err) // the program is made of constants
	}
	var filter []byte
	for _, i := range raw {
		filter = binary.NativeEndian.AppendUint16(filter, i.Op)
		filter = append(filter, i.Jt, i.Jf)
		filter = binary.NativeEndian.AppendUint32(filter, i.K)
	}
	return filter
}
