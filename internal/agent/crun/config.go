package crun

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/cgroup"
	"cis/internal/sealed"
)

// Config says with what, and where, containers are run.
type Config struct {
	// Crun is the path of crun, Tool that of cis-pause.
	Crun, Tool string
	// Dir, on a tmpfs, is for bundles, crun's state and mount points. Nobody else may
	// use it.
	Dir string
	// Cgroup is the path of the group, below the mounts of cgroups, in which each
	// container gets one of its own.
	Cgroup string
	// Disk finds what to mount for the path of an image: a block device, or, from
	// Linux 6.12 on, the EROFS file itself.
	Disk func(path string) (source string, err error)
	// Layer finds the directory for the writable layers of a container, Volume that of
	// an emptyDir on disk. Each is this runtime's alone. No path of the configuration
	// may have a comma, a colon or a backslash.
	Layer, Volume func(name string) (dir string, err error)
}

func (c Config) stateDir() string  { return filepath.Join(c.Dir, "state") }
func (c Config) imagesDir() string { return filepath.Join(c.Dir, "images") }

// bundle is the directory of one attempt.
func (c Config) bundle(id string) string { return filepath.Join(c.Dir, "containers", id) }

// Runtime runs the containers of one instance.
type Runtime struct {
	conf   Config
	groups *cgroup.Tree
	images *images
	// tool is cis-pause, on a read-only mount: no container can write to it.
	tool *os.File
	// crun is a copy that nobody can write to: crun would make one for itself with
	// every run, and begin anew as that.
	crun *os.File

	// launching is held while crun runs.
	launching sync.Mutex

	mu       sync.Mutex
	workload *agentpb.Workload
	// volumes are the directories of the emptyDirs.
	volumes map[string]string
	// containers that are started and not deleted, the latest of each name.
	containers map[string]*container
	starts     int
	// programs are the processes that are being waited for.
	programs map[int]bool

	lost chan struct{}
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a runtime. The calling process becomes the one that programs are handed
// to when crun ends (a child subreaper), for good.
func New(c Config) (*Runtime, error) {
	r := &Runtime{
		conf: c, images: newImages(c.imagesDir(), c.Disk),
		volumes: map[string]string{}, containers: map[string]*container{}, programs: map[int]bool{},
		lost: make(chan struct{}),
	}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("set up crun: %w", err)
	}
	return r, nil
}

func (r *Runtime) open() (err error) {
	// It becomes an option of mounts.
	if strings.ContainsAny(r.conf.Dir, `,:\`) {
		return errors.New("a path has a comma, a colon or a backslash")
	}
	if r.groups, err = cgroup.Open(cgroup.Root); err != nil {
		return err
	}
	if err := r.groups.Create(r.conf.Cgroup, cgroup.Limits{}); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	for _, dir := range []string{r.conf.stateDir(), r.conf.imagesDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if r.tool, err = openTool(r.conf.Tool); err != nil {
		return err
	}
	if r.crun, err = sealedCopy(r.conf.Crun); err != nil {
		r.tool.Close()
		return err
	}
	if err := shareMounts(r.conf.Dir); err != nil {
		r.tool.Close()
		r.crun.Close()
		return err
	}
	return nil
}

// sealedCopy copies a program into memory, for good.
func sealedCopy(path string) (*os.File, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to, err := sealed.New("crun")
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(to, from); err == nil {
		err = sealed.Seal(to)
	}
	if err != nil {
		to.Close()
		return nil, fmt.Errorf("copy %s: %w", path, err)
	}
	return to, nil
}

// crunPath is where the copy of crun can be executed, and its base what its processes
// are called.
func (r *Runtime) crunPath() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.crun.Fd())
}

// shareMounts makes a directory a mount of its own whose changes reach the
// containers: without pivot_root a container keeps a copy of every mount under its
// root, and would hold another's file system after that one is deleted.
func shareMounts(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on itself: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		unix.Unmount(dir, unix.MNT_DETACH)
		return fmt.Errorf("share the mounts in %s: %w", dir, err)
	}
	return nil
}

// openTool opens a program for execution through a read-only mount that is nowhere
// in the file system.
func openTool(path string) (*os.File, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make %s read-only: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Close takes down what New, Prepare and containers that nobody deleted have
// mounted. A VM that just ends has no need of it.
func (r *Runtime) Close() error {
	r.tool.Close()
	r.crun.Close()
	if err := unix.Unmount(r.conf.Dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", r.conf.Dir, err)
	}
	return nil
}
