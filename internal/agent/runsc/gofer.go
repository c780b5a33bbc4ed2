package runsc

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"cis/internal/cgroup"
)

// goferFiles are what a gofer gets, by the flag that names each; the first is file 3.
var goferFiles = []string{"io-fds", "spec-fd", "mounts-fd", "rpc-fd"}

// startGofer starts the process that does a container's calls on a directory of the host,
// and returns the sandbox's end of the connection: when that is closed the gofer ends. It
// is runsc's own, shut into the directory, and charged to the sandbox.
func (s *Sandbox) startGofer(dir string, readOnly bool) (*os.File, error) {
	ours, err := s.gofer(dir, readOnly)
	if err != nil {
		return nil, fmt.Errorf("start a gofer: %w", err)
	}
	return ours, nil
}

func (s *Sandbox) gofer(dir string, readOnly bool) (ours *os.File, err error) {
	connection, err := filePair()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			connection[0].Close()
		}
	}()
	defer connection[1].Close()
	spec, err := goferSpec(dir, readOnly)
	if err != nil {
		return nil, err
	}
	defer spec.Close()
	// Nobody asks for the list of mounts, and nobody answers the calls of a gofer that may
	// not open what it shall serve.
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer nowhere.Close()
	rpc, err := filePair()
	if err != nil {
		return nil, err
	}
	rpc[0].Close()
	defer rpc[1].Close()
	return connection[0], s.launchGofer(connection[1], spec, nowhere, rpc[1])
}

// goferSpec says what a gofer serves: the directory as a root. The rest is what runsc
// insists on.
func goferSpec(dir string, readOnly bool) (*os.File, error) {
	data, err := json.Marshal(specs.Spec{
		Version: "1.0.0", Process: &specs.Process{Args: []string{"/"}, Cwd: "/"}, Root: &specs.Root{Path: dir, Readonly: readOnly},
	})
	if err != nil {
		return nil, err
	}
	return memoryFile("spec", data)
}

func (s *Sandbox) launchGofer(files ...*os.File) error {
	groups, err := cgroup.Open(cgroup.Root)
	if err != nil {
		return err
	}
	log, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	follow(log)
	defer theirs.Close()
	cmd := exec.Command(s.conf.Runsc, "--root="+s.conf.stateDir(), "--directfs=false", "gofer", "--bundle="+s.conf.bundle(),
		"--gofer-mount-confs=lisafs:none")
	for i, name := range goferFiles {
		cmd.Args = append(cmd.Args, "--"+name+"="+strconv.Itoa(3+i))
	}
	cmd.Args = append(cmd.Args, s.conf.ID)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.Stdout, cmd.Stderr = theirs, theirs
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true,
		Cloneflags: unix.CLONE_NEWIPC | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS}
	if err := groups.Start(cmd, s.conf.Cgroup); err != nil {
		return err
	}
	// It ends when the sandbox closes the connection.
	go func() { _ = cmd.Wait() }()
	return nil
}

// filePair makes a stream with two ends.
func filePair() (pair [2]*os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return pair, err
	}
	return [2]*os.File{os.NewFile(uintptr(fds[0]), "stream"), os.NewFile(uintptr(fds[1]), "stream")}, nil
}
