package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// rootDir of the stage is where the container's root is put together.
const rootDir = "root"

// SystemDirs of the stage become the container's own.
var SystemDirs = []string{"dev", "proc", "sys"}

// StageDirs are the directories that a stage must have.
var StageDirs = append([]string{rootDir}, SystemDirs...)

const (
	noPrograms = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	// shmSize bounds /dev/shm, devSize /dev, as docker does.
	shmSize = "mode=1777,size=64m"
	devSize = "mode=755,size=64k"
)

// systemMounts are what a container has besides its image and volumes. Terminals are
// made outside, so /dev/pts is the one from there.
var systemMounts = []struct {
	source, target, kind, options string
	flags                         uintptr
}{
	{"proc", "proc", "proc", "", noPrograms},
	{"sysfs", "sys", "sysfs", "", noPrograms | unix.MS_RDONLY},
	{"tmpfs", "dev", "tmpfs", devSize, unix.MS_NOSUID | unix.MS_STRICTATIME},
	{"/dev/pts", "dev/pts", "", "", unix.MS_BIND},
	{"shm", "dev/shm", "tmpfs", shmSize, noPrograms},
	{"mqueue", "dev/mqueue", "mqueue", "", noPrograms},
}

// devices that every container has, by their numbers in the kernel's
// Documentation/admin-guide/devices.txt.
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var links = []struct{ name, target string }{
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	{"core", "/proc/kcore"}, {"ptmx", "pts/ptmx"},
}

// hidden paths cannot be read, readOnly not be written: they tell of the VM, or
// change it.
var (
	hidden = []string{
		"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
		"proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats",
		"sys/devices/virtual/powercap", "sys/firmware",
	}
	readOnly = []string{"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"}
)

// setUp makes, on the stage, everything of a container's system that needs no image.
func setUp(stage string) error {
	// Mounts made outside are seen here, but not the other way round.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a namespace of cgroups: %w", err)
	}
	unix.Umask(0)
	for _, m := range systemMounts {
		at := path.Join(stage, m.target)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, at, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("mount /%s: %w", m.target, err)
		}
	}
	if err := mountGroups(path.Join(stage, "sys/fs/cgroup")); err != nil {
		return fmt.Errorf("mount cgroups: %w", err)
	}
	dev := path.Join(stage, "dev")
	for _, d := range devices {
		if err := unix.Mknod(path.Join(dev, d.name), unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("make /dev/%s: %w", d.name, err)
		}
	}
	for _, l := range links {
		if err := os.Symlink(l.target, path.Join(dev, l.name)); err != nil {
			return err
		}
	}
	unix.Umask(0o022)
	return cover(stage)
}

// mountGroups shows the container its own cgroup. A kernel with version 1 has a tree
// for each controller, of which none is shown.
func mountGroups(at string) error {
	err := unix.Mount("cgroup", at, "cgroup2", noPrograms|unix.MS_RDONLY|unix.MS_RELATIME, "")
	if errors.Is(err, unix.EBUSY) {
		return nil
	}
	return err
}

// cover hides some files of the kernel and makes others read-only.
func cover(stage string) error {
	for _, name := range hidden {
		if err := hide(path.Join(stage, name), path.Join(stage, "dev/null")); err != nil {
			return fmt.Errorf("hide /%s: %w", name, err)
		}
	}
	for _, name := range readOnly {
		at := path.Join(stage, name)
		err := unix.Mount(at, at, "", unix.MS_BIND, "")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|noPrograms|unix.MS_RDONLY, "")
		}
		if err != nil {
			return fmt.Errorf("protect /%s: %w", name, err)
		}
	}
	return nil
}

// hide puts emptiness in place of what is at the path, if anything is.
func hide(at, null string) error {
	var info unix.Stat_t
	err := unix.Lstat(at, &info)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode&unix.S_IFMT == unix.S_IFDIR:
		return unix.Mount("tmpfs", at, "tmpfs", unix.MS_RDONLY|noPrograms, "size=0k")
	}
	return unix.Mount(null, at, "", unix.MS_BIND, "")
}
