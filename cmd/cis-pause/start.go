package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

const (
	// programFile is the descriptor from which a runtime executes this program,
	// reportFile the one on which it wants to read why another could not be started;
	// the end of it without a word says that it could.
	programFile = 3
	reportFile  = 4
	// defaultPath is searched where the environment has no PATH, as in a login shell.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// start becomes another program, in a directory, as the leader of a session whose
// terminal is standard input if that is one. It returns only if that fails.
func start(dir string, args []string) error {
	syscall.CloseOnExec(programFile)
	syscall.CloseOnExec(reportFile)
	// It fails for one that leads a session already, and for what is no terminal.
	syscall.Setsid()
	syscall.RawSyscall(syscall.SYS_IOCTL, 0, syscall.TIOCSCTTY, 0)
	if err := syscall.Chdir(dir); err != nil {
		return fmt.Errorf("work in %s: %w", dir, err)
	}
	path, err := find(args[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", path, syscall.Exec(path, args, os.Environ()))
}

// find looks a name without a slash up as shells do: a file that may not be executed
// is passed over, and remembered in case there is no other.
func find(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	dirs, ok := os.LookupEnv("PATH")
	if !ok {
		dirs = defaultPath
	}
	var failure error = syscall.ENOENT
	for dir := range strings.SplitSeq(dirs, ":") {
		if dir == "" {
			dir = "."
		}
		path := dir + "/" + name
		err := executable(path)
		if err == nil && name != "" {
			return path, nil
		}
		if err == syscall.EACCES {
			failure = err
		}
	}
	return "", fmt.Errorf("find program %q in PATH %s: %w", name, dirs, failure)
}

func executable(path string) error {
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return err
	}
	if stat.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return syscall.EACCES
	}
	const mayExecute = 1
	return syscall.Access(path, mayExecute)
}

// report tells the runtime why nothing was started.
func report(err error) {
	fmt.Fprint(os.NewFile(reportFile, "report"), err)
}
