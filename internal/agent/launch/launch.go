package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"cis/internal/agent/lastwords"
	"cis/internal/agent/linux/inside"
	"cis/internal/agent/subpath"
)

// Launch makes this process, the first one of its container, the program of the order. It
// returns only errors, which the listener has been told of.
func Launch(order string, args, env []string) error {
	runtime.LockOSThread() // which gets what the program shall have
	var o Order
	if err := json.Unmarshal([]byte(order), &o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	report, err := openReport(path.Join(ReportsDir, o.Report))
	if err != nil {
		return err
	}
	err = o.arrange()
	if err == nil {
		o.Program.Args, o.Program.Env = args, env
		err = inside.Become(o.Program)
	}
	fmt.Fprint(report, err)
	return err
}

// arrange makes the container's files what the program shall see.
func (o Order) arrange() error {
	for i, m := range o.Mounts {
		if err := m.place(VolumeDir(i)); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	if err := o.messages(); err != nil {
		return fmt.Errorf("mount %s: %w", o.Message, err)
	}
	if err := o.clear(); err != nil {
		return fmt.Errorf("clear up the launch: %w", err)
	}
	if !o.ReadOnly {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	return nil
}

// messages makes the file for the program's last words.
func (o Order) messages() error {
	if o.Message == "" {
		return nil
	}
	file := MessageFile(ReportsDir, o.Report)
	if err := lastwords.Make(file); err != nil {
		return err
	}
	source, err := unix.Open(file, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	return bind(source, o.Message)
}

// place shows what the mount is of at its target.
func (m Mount) place(volume string) error {
	source, err := subpath.Open(volume, m.SubPath)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	if err := bind(source, m.Target); err != nil {
		return err
	}
	if !m.ReadOnly {
		return nil
	}
	return unix.Mount("", m.Target, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// bind shows what is open at the target.
func bind(source int, target string) error {
	if err := mountPoint(source, target); err != nil {
		return err
	}
	return unix.Mount("/proc/self/fd/"+strconv.Itoa(source), target, "", unix.MS_BIND, "")
}

// mountPoint makes what the image lacks for a file or directory to be mounted on.
func mountPoint(source int, target string) error {
	var info unix.Stat_t
	if err := unix.Fstat(source, &info); err != nil {
		return err
	}
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(path.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// clear takes away what the launch was given.
func (o Order) clear() error {
	dirs := []string{ToolDir, ReportsDir}
	for i := range o.Mounts {
		dirs = append(dirs, VolumeDir(i))
	}
	for _, dir := range dirs {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
	return os.RemoveAll(Dir)
}
