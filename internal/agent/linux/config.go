package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/linux/inside"
	"cis/internal/agent/nfs"
	"cis/internal/agent/runtime"
	"cis/internal/cgroup"
)

// Config says with what, and where, containers are run.
type Config struct {
	// Tool is the path of cis-pause.
	Tool string
	// Dir, on a tmpfs, is for mount points. Nobody else may use it.
	Dir string
	// Cgroup is the path of the group, below the mounts of cgroups, in which each
	// container gets one of its own.
	Cgroup string
	// Disk finds what to mount for the path of an image: a block device, or, from
	// Linux 6.12 on, the EROFS file itself.
	Disk func(path string) (source string, err error)
	// Layer finds the directory for the writable layers of a container, Volume that of
	// an emptyDir on disk. Each is this runtime's alone; what is on a layer's file system
	// counts as the container's. No path of the configuration
	// may have a comma, a colon or a backslash.
	Layer, Volume func(name string) (dir string, err error)
	// Share mounts a volume that is a directory of an NFS server.
	Share func(ctx context.Context, w *agentpb.Workload, v agentpb.Volume) (*nfs.Share, error)
}

func (c Config) stageDir() string  { return filepath.Join(c.Dir, "stage") }
func (c Config) imagesDir() string { return filepath.Join(c.Dir, "images") }
func (c Config) rootsDir() string  { return filepath.Join(c.Dir, "roots") }

// Runtime runs the containers of one instance.
type Runtime struct {
	conf   Config
	groups *cgroup.Tree
	images *images
	// tool is cis-pause, on a read-only mount: no container can write to it.
	tool *os.File
	null *os.File

	// limiting guards memory, the limit that every container's cgroup has, and its being set.
	limiting sync.Mutex
	memory   api.Bytes

	mu       sync.Mutex
	workload *agentpb.Workload
	// volumes are the directories of the emptyDirs.
	volumes map[string]string
	// shares are the volumes that servers have.
	shares map[string]*nfs.Share
	// files are the directories of the volumes with Files.
	files map[string]string
	// containers that are started and not deleted, the latest of each name.
	containers map[string]*container
	starts     int
	// pause is what holds the PID namespace that all containers share; nil: each has its own.
	pause *container
	// waiting is a container that is made as far as it can be without an image; nil
	// most of the time.
	waiting *container
	// programs are the processes that are being waited for.
	programs map[int]bool

	lost chan struct{}
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a runtime. The calling process becomes the one that orphans are handed
// to (a child subreaper), for good.
func New(c Config) (*Runtime, error) {
	r := &Runtime{
		conf: c, images: newImages(c.imagesDir(), c.Disk),
		volumes: map[string]string{}, shares: map[string]*nfs.Share{}, files: map[string]string{}, containers: map[string]*container{}, programs: map[int]bool{},
		lost: make(chan struct{}),
	}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("set up containers: %w", err)
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
	if err := r.allowDevices(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	dirs := []string{r.conf.imagesDir(), r.conf.rootsDir()}
	for _, name := range inside.StageDirs {
		dirs = append(dirs, filepath.Join(r.conf.stageDir(), name))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if r.tool, err = openTool(r.conf.Tool); err != nil {
		return err
	}
	if r.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		err = shareMounts(r.conf.Dir)
	}
	if err != nil {
		r.closeFiles()
	}
	return err
}

func (r *Runtime) closeFiles() {
	r.tool.Close()
	r.null.Close()
}

// allowDevices keeps containers from all devices but a few. A microVM has version 2 of
// cgroups; where this runs with version 1 there is no such limit.
func (r *Runtime) allowDevices() error {
	if r.groups.Version() != 2 {
		return nil
	}
	return r.groups.AllowDevices(r.conf.Cgroup, devices)
}

// toolPath is where cis-pause can be executed.
func (r *Runtime) toolPath() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.tool.Fd()) }

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
	fd, err := cloneMount(path, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Close takes down what New, Prepare and containers that nobody deleted have
// mounted. A VM that just ends has no need of it.
func (r *Runtime) Close() error {
	r.closeFiles()
	if err := unix.Unmount(r.conf.Dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", r.conf.Dir, err)
	}
	return nil
}
