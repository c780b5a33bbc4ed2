package crun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
)

// Config of the runtime.
type Config struct {
	// Crun and Tool are the programs crun and cis-pause.
	Crun, Tool string
	// Dir is for bundles, mount points and crun's state, in memory.
	Dir string
	// Image is the block device of an image, by the path that workloads know it by.
	Image func(path string) (device string, err error)
	// Layers are writable directories, one for each container; their file systems
	// bound what containers write.
	Layers []string
	// Volume is the directory of a volume that is kept on disk.
	Volume func(name string) (dir string, err error)
}

// cgroupRoot is where version 2 is mounted; containers have groups below group.
const (
	cgroupRoot = "/sys/fs/cgroup"
	group      = "/cis"
)

// Runtime runs the containers of one workload.
type Runtime struct {
	conf Config

	mu       sync.Mutex
	workload *agentpb.Workload
	// layers by container, and images mounted, by path.
	layers map[string]string
	images map[string]string
	// containers that are started and not deleted, the latest of each name.
	containers map[string]*container
	starts     int
}

var _ runtime.Runtime = (*Runtime)(nil)

// New makes a runtime without a workload.
func New(c Config) (*Runtime, error) {
	if err := os.MkdirAll(c.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("crun: %w", err)
	}
	return &Runtime{conf: c, layers: map[string]string{}, images: map[string]string{}, containers: map[string]*container{}}, nil
}

// Prepare implements runtime.Runtime.
func (r *Runtime) Prepare(_ context.Context, w *agentpb.Workload) error {
	if err := unix.Sethostname([]byte(w.Hostname)); err != nil {
		return fmt.Errorf("prepare: set hostname %q: %w", w.Hostname, err)
	}
	for _, v := range w.Volumes {
		if err := r.prepareVolume(v); err != nil {
			return fmt.Errorf("prepare volume %s: %w", v.Name, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.workload = w
	return nil
}

// Pids implements runtime.Runtime.
func (r *Runtime) Pids(context.Context) (int64, error) {
	data, err := os.ReadFile(filepath.Join(cgroupRoot, group, "pids.current"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil // nothing has run yet
	}
	if err != nil {
		return 0, fmt.Errorf("count processes: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// Dial implements runtime.Runtime: the containers share the VM's network.
func (r *Runtime) Dial(ctx context.Context, port uint16) (io.ReadWriteCloser, error) {
	var dialer net.Dialer
	var first error
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, &api.Error{Code: api.Unavailable, Message: fmt.Sprintf("dial localhost:%d: %v", port, first), Err: first,
		Next: "check that the program listens on this port"}
}

// Lost implements runtime.Runtime: a VM that is lost takes its agent along.
func (r *Runtime) Lost() <-chan struct{} { return nil }

// Cause implements runtime.Runtime.
func (r *Runtime) Cause() runtime.Loss { return runtime.Loss{} }

// running finds a container that can be reached.
func (r *Runtime) running(name string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[name]; c != nil {
		return c, nil
	}
	return nil, &api.Error{Code: api.Conflict, Message: fmt.Sprintf("container %s does not run", name), Next: "wait until it has started"}
}
