package inside

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"golang.org/x/sys/unix"
)

// Contain makes this process, which has a mount namespace of its own, a container's program.
// Stage is a directory with StageDirs in it, the same for all. It returns only errors.
func Contain(stage string) error {
	if err := begin(); err != nil {
		return err
	}
	if err := setUp(stage); err != nil {
		return fmt.Errorf("set up the container: %w", err)
	}
	if _, err := unix.Write(Control, []byte{Ready}); err != nil {
		return err
	}
	o, files, err := receive()
	if err != nil {
		return quietly(err)
	}
	if o.Container == nil || len(files) != 4+len(o.Container.Targets) {
		return errors.New("this is not the order of a container")
	}
	if err := takeStreams(files); err != nil {
		return err
	}
	own, err := o.Program.openOwn()
	if err != nil {
		return err
	}
	if err := o.Container.enter(stage, files[3], files[4:]); err != nil {
		return err
	}
	return become(o.Program, own)
}

// Join makes this process, which is in the PID namespace of a container, one more
// program there. It returns only errors.
func Join() error {
	if err := begin(); err != nil {
		return err
	}
	o, files, err := receive()
	if err != nil {
		return quietly(err)
	}
	if o.Container != nil || len(files) != 4 {
		return errors.New("this is not the order of a program in a container")
	}
	if err := takeStreams(files); err != nil {
		return err
	}
	own, err := o.Program.openOwn()
	if err != nil {
		return err
	}
	// The threads of a process share their root, and none that does can change it.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("have a root of its own: %w", err)
	}
	if err := unix.Setns(files[3], unix.CLONE_NEWNS|unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("enter the container: %w", err)
	}
	return become(o.Program, own)
}

// begin keeps to one thread, which gets what the program shall have: of open files the
// standard streams.
func begin() error {
	runtime.LockOSThread()
	return unix.CloseRange(Control, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// quietly ends a helper that nobody needs any more.
func quietly(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func takeStreams(files []int) error {
	for i, fd := range files[:3] {
		if err := unix.Dup3(fd, i, 0); err != nil {
			return err
		}
	}
	return nil
}
