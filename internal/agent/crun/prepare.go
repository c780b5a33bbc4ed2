package crun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/runtime"
	"cis/internal/cgroup"
)

// Prepare implements runtime.Runtime. The host name is that of the UTS namespace of
// this process, which is the VM's.
func (r *Runtime) Prepare(ctx context.Context, w *agentpb.Workload) error {
	if err := unix.Sethostname([]byte(w.Hostname)); err != nil {
		return fmt.Errorf("prepare: set hostname %q: %w", w.Hostname, err)
	}
	if err := r.groups.Create(r.conf.Cgroup, cgroup.Limits{Pids: w.Pids}); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range w.Volumes {
		if r.volumes[v.Name] != "" || v.Image != "" {
			continue
		}
		dir, err := r.makeVolume(v, len(r.volumes))
		if err != nil {
			return fmt.Errorf("prepare: make volume %s: %w", v.Name, err)
		}
		r.volumes[v.Name] = dir
	}
	r.workload = w
	return nil
}

// makeVolume makes an empty directory that everybody may write to.
func (r *Runtime) makeVolume(v agentpb.Volume, number int) (string, error) {
	parent := filepath.Join(r.conf.Scratch, "volumes")
	if v.Memory {
		parent = filepath.Join(r.conf.Dir, "volumes")
	}
	dir := filepath.Join(parent, strconv.Itoa(number))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if !v.Memory {
		return dir, os.Chmod(dir, 0o777)
	}
	options := "mode=0777"
	if v.SizeLimit > 0 {
		options += ",size=" + strconv.FormatInt(int64(v.SizeLimit), 10)
	}
	return dir, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV, options)
}

// Pids implements runtime.Runtime.
func (r *Runtime) Pids(context.Context) (int64, error) { return r.groups.Pids(r.conf.Cgroup) }

// Lost implements runtime.Runtime. It is never closed: when the VM dies, so does
// this process.
func (r *Runtime) Lost() <-chan struct{} { return r.lost }

// Cause implements runtime.Runtime.
func (r *Runtime) Cause() runtime.Loss { return runtime.Loss{} }
