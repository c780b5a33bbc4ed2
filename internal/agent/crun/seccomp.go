package crun

import (
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// forbidden are the system calls that no container may make: they are about the
// kernel as a whole, or have had more faults than users. Those with a capability
// are allowed to whoever has it.
var forbidden = []struct {
	calls      []string
	capability string
}{
	{calls: []string{
		"add_key", "bpf", "get_mempolicy", "keyctl", "kexec_file_load", "kexec_load", "mbind", "migrate_pages", "move_pages",
		"nfsservctl", "perf_event_open", "request_key", "set_mempolicy", "userfaultfd", "io_uring_setup", "io_uring_enter",
		"io_uring_register", "lookup_dcookie", "_sysctl", "uselib", "ustat", "sysfs", "vm86", "vm86old", "open_by_handle_at",
	}},
	{calls: []string{"acct"}, capability: "CAP_SYS_PACCT"},
	{calls: []string{"clock_settime", "clock_adjtime", "settimeofday", "stime"}, capability: "CAP_SYS_TIME"},
	{calls: []string{"init_module", "finit_module", "delete_module", "create_module", "query_module", "get_kernel_syms"}, capability: "CAP_SYS_MODULE"},
	{calls: []string{"iopl", "ioperm"}, capability: "CAP_SYS_RAWIO"},
	{calls: []string{"kcmp", "process_madvise"}, capability: "CAP_SYS_PTRACE"},
	{calls: []string{
		"mount", "umount", "umount2", "mount_setattr", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
		"pivot_root", "quotactl", "quotactl_fd", "setns", "unshare", "swapon", "swapoff", "fanotify_init", "setdomainname",
	}, capability: "CAP_SYS_ADMIN"},
	{calls: []string{"reboot"}, capability: "CAP_SYS_BOOT"},
	{calls: []string{"syslog"}, capability: "CAP_SYSLOG"},
	{calls: []string{"vhangup"}, capability: "CAP_SYS_TTY_CONFIG"},
}

// seccomp is the filter of a container with these capabilities. The call fails with
// EPERM, as without the right to it.
func seccomp(capabilities []string) *specs.LinuxSeccomp {
	filter := &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
	}
	for _, f := range forbidden {
		if f.capability == "" || !slices.Contains(capabilities, f.capability) {
			filter.Syscalls = append(filter.Syscalls, specs.LinuxSyscall{Names: f.calls, Action: specs.ActErrno})
		}
	}
	return filter
}
