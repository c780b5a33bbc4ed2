package crun

import (
	"runtime"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// guarded are the system calls that a container may make only with one of the
// capabilities; without any, no container may. Most of them want the capability
// anyway: the filter keeps the kernel's code behind them out of reach. Keys are not
// divided among containers, so nobody gets at them.
var guarded = []struct{ capabilities, calls []string }{
	{nil, []string{
		"add_key", "keyctl", "request_key", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
		"nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "get_kernel_syms", "query_module", "create_module",
		"move_pages", "mbind", "migrate_pages", "set_mempolicy", "vm86", "vm86old", "kexec_load", "kexec_file_load",
	}},
	{[]string{"CAP_SYS_ADMIN"}, []string{
		"mount", "umount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree",
		"mount_setattr", "setns", "unshare", "sethostname", "setdomainname", "quotactl", "quotactl_fd", "swapon", "swapoff",
		"fanotify_init", "lookup_dcookie",
	}},
	{[]string{"CAP_SYS_ADMIN", "CAP_BPF"}, []string{"bpf"}},
	{[]string{"CAP_SYS_ADMIN", "CAP_PERFMON"}, []string{"perf_event_open"}},
	{[]string{"CAP_SYS_MODULE"}, []string{"init_module", "finit_module", "delete_module"}},
	{[]string{"CAP_SYS_BOOT"}, []string{"reboot"}},
	{[]string{"CAP_SYS_TIME"}, []string{"settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex"}},
	{[]string{"CAP_SYS_PACCT"}, []string{"acct"}},
	{[]string{"CAP_SYS_RAWIO"}, []string{"iopl", "ioperm"}},
	{[]string{"CAP_SYS_TTY_CONFIG"}, []string{"vhangup"}},
	{[]string{"CAP_SYSLOG"}, []string{"syslog"}},
	{[]string{"CAP_SYS_PTRACE"}, []string{"kcmp"}},
	{[]string{"CAP_DAC_READ_SEARCH"}, []string{"open_by_handle_at"}},
}

// newNamespaces are the flags of clone that make namespaces.
var newNamespaces = []uint64{
	unix.CLONE_NEWNS, unix.CLONE_NEWCGROUP, unix.CLONE_NEWUTS, unix.CLONE_NEWIPC, unix.CLONE_NEWUSER, unix.CLONE_NEWPID, unix.CLONE_NEWNET,
}

// architectures that a kernel for a Go architecture executes; calls of any other end
// the program.
var architectures = map[string][]specs.Arch{
	"amd64": {specs.ArchX86_64, specs.ArchX86},
	"arm64": {specs.ArchAARCH64, specs.ArchARM},
}

// seccomp is the filter of a container with these capabilities: it lets through what
// it does not name.
func seccomp(capabilities []string) *specs.LinuxSeccomp {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: architectures[runtime.GOARCH]}
	deny := func(errno uint, names []string, args ...specs.LinuxSeccompArg) {
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{
			Names: names, Action: specs.ActErrno, ErrnoRet: &errno, Args: args,
		})
	}
	has := func(name string) bool { return slices.Contains(capabilities, name) }
	for _, g := range guarded {
		if !slices.ContainsFunc(g.capabilities, has) {
			deny(uint(unix.EPERM), g.calls)
		}
	}
	if !has("CAP_SYS_ADMIN") {
		for _, flag := range newNamespaces {
			deny(uint(unix.EPERM), []string{"clone"}, specs.LinuxSeccompArg{Value: flag, ValueTwo: flag, Op: specs.OpMaskedEqual})
		}
		// Its flags are in memory, out of a filter's sight; programs fall back to clone.
		deny(uint(unix.ENOSYS), []string{"clone3"})
	}
	// A way to whatever runs the VM.
	deny(uint(unix.EAFNOSUPPORT), []string{"socket"}, specs.LinuxSeccompArg{Value: unix.AF_VSOCK, Op: specs.OpEqualTo})
	return s
}
