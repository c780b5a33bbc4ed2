package inside

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"cis/internal/seccomp"
)

// defaultPath is searched where the environment has no PATH, as in a login shell.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Become makes this thread, which is locked to its goroutine, the program, and the process
// with it. It returns only errors.
func Become(p Program) error { return become(p, -1) }

// openOwn opens the helper's own program, if that is what the order asks for, before the
// helper's files are out of sight.
func (p Program) openOwn() (own int, err error) {
	if !p.Own {
		return -1, nil
	}
	return unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
}

// become executes the helper's own program, where that is what the order says.
func become(p Program, own int) error {
	// It fails for one that leads a session already, and for what is no terminal.
	unix.Setsid()
	unix.IoctlSetInt(0, unix.TIOCSCTTY, 0)
	p.ownStreams()
	if err := p.demote(); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	if err := unix.Chdir(p.Dir); err != nil {
		return fmt.Errorf("work in %s: %w", p.Dir, err)
	}
	forgetSignals()
	if p.Own {
		return executeFile(own, p)
	}
	path, err := find(p.Args[0], p.Env)
	if err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", path, unix.Exec(path, p.Args, p.Env))
}

// lastSignal is the highest number of one, see signal(7).
const lastSignal = 64

// forgetSignals gives every signal its default: what the agent ignores would stay
// ignored in the program, and a shell cannot even trap it then.
func forgetSignals() {
	var byDefault [32]byte // the kernel's struct sigaction
	for signal := uintptr(1); signal <= lastSignal; signal++ {
		// It fails for those that nobody can change.
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	}
}

// ownStreams gives the standard streams to the program's user, so that it can open
// them by name. Those that are on no file system of the container's take no harm.
func (p Program) ownStreams() {
	for fd := range 3 {
		var info unix.Stat_t
		if unix.Fstat(fd, &info) == nil && (info.Mode&unix.S_IFMT == unix.S_IFIFO || isTerminal(info)) {
			unix.Fchown(fd, int(p.UID), -1)
		}
	}
}

// isTerminal tells terminals from other devices, by the numbers of those in /dev/pts.
func isTerminal(info unix.Stat_t) bool {
	major := unix.Major(uint64(info.Rdev))
	return info.Mode&unix.S_IFMT == unix.S_IFCHR && major >= 136 && major <= 143
}

// demote gives up, for good, what the program shall not have. The filter comes first:
// to set one wants a privilege.
func (p Program) demote() error {
	if err := seccomp.Set(p.filter()); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	for capability := range unix.CAP_LAST_CAP + 1 {
		if p.Capabilities&(1<<capability) != 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("drop capability %d: %w", capability, err)
		}
	}
	groups := make([]int, len(p.Groups))
	for i, g := range p.Groups {
		groups[i] = int(g)
	}
	if err := unix.Setgroups(groups); err != nil {
		return err
	}
	if err := unix.Setresgid(int(p.GID), int(p.GID), int(p.GID)); err != nil {
		return err
	}
	if err := unix.Setresuid(int(p.UID), int(p.UID), int(p.UID)); err != nil {
		return err
	}
	if p.UID != 0 {
		return nil // all capabilities went with the change
	}
	return setCapabilities(p.Capabilities)
}

// setCapabilities sets those that are effective and permitted, and none to inherit.
func setCapabilities(mask uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	low, high := uint32(mask), uint32(mask>>32)
	data := [2]unix.CapUserData{{Effective: low, Permitted: low}, {Effective: high, Permitted: high}}
	return unix.Capset(&header, &data[0])
}

// filter is the program's, as its order has it.
func (p Program) filter() []unix.SockFilter {
	filter := make([]unix.SockFilter, len(p.Filter)/unix.SizeofSockFilter)
	for i := range filter {
		at := p.Filter[i*unix.SizeofSockFilter:]
		filter[i] = unix.SockFilter{
			Code: binary.NativeEndian.Uint16(at), Jt: at[2], Jf: at[3], K: binary.NativeEndian.Uint32(at[4:]),
		}
	}
	return filter
}

// executeFile executes an open program.
func executeFile(fd int, p Program) error {
	args, err := syscall.SlicePtrFromStrings(p.Args)
	if err != nil {
		return err
	}
	env, err := syscall.SlicePtrFromStrings(p.Env)
	if err != nil {
		return err
	}
	var none byte
	_, _, errno := unix.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&none)),
		uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH, 0)
	return fmt.Errorf("execute %s: %w", p.Args[0], errno)
}

// find looks a name without a slash up as shells do: a file that may not be executed
// is passed over, and remembered in case there is no other.
func find(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	dirs := defaultPath
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			dirs = value
		}
	}
	var failure error = unix.ENOENT
	for dir := range strings.SplitSeq(dirs, ":") {
		if dir == "" {
			dir = "."
		}
		path := dir + "/" + name
		err := executable(path)
		if err == nil && name != "" {
			return path, nil
		}
		if err == unix.EACCES {
			failure = err
		}
	}
	return "", fmt.Errorf("find program %q in PATH %s: %w", name, dirs, failure)
}

func executable(path string) error {
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EACCES
	}
	return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
}
