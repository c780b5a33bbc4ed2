package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/fsgroup"
	"cis/internal/agent/runtime"
	"cis/internal/cgroup"
)

// setSysctl sets the VM's kernel, which has one network and one IPC namespace.
func setSysctl(s api.Sysctl) error {
	file := filepath.Join("/proc/sys", filepath.FromSlash(strings.ReplaceAll(s.Name, ".", "/")))
	if err := os.WriteFile(file, []byte(s.Value), 0); err != nil {
		return fmt.Errorf("set sysctl %s to %q: %w", s.Name, s.Value, err)
	}
	return nil
}

// Prepare implements runtime.Runtime. The host name is that of the UTS namespace of
// this process, which is the VM's.
func (r *Runtime) Prepare(ctx context.Context, w *agentpb.Workload) error {
	if err := unix.Sethostname([]byte(w.Hostname)); err != nil {
		return fmt.Errorf("prepare: set hostname %q: %w", w.Hostname, err)
	}
	for _, s := range w.Sysctls {
		if err := setSysctl(s); err != nil {
			return fmt.Errorf("prepare: %w", err)
		}
	}
	r.limiting.Lock()
	err := r.groups.Create(r.conf.Cgroup, cgroup.Limits{Pids: w.Pids, Memory: w.Memory})
	r.memory = w.Memory
	r.limiting.Unlock()
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := r.mountShares(ctx, w); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if w.ShareProcesses {
		if err := r.share(ctx); err != nil {
			return fmt.Errorf("prepare: share processes: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range w.Volumes {
		if r.volumes[v.Name] != "" || v.Image != "" || v.Files || v.NFS != nil {
			continue
		}
		dir, err := r.makeVolume(v)
		if err == nil && v.Group != nil {
			err = fsgroup.Apply(dir, *v.Group, v.Regroup)
		}
		if err != nil {
			return fmt.Errorf("prepare: make volume %s: %w", v.Name, err)
		}
		r.volumes[v.Name] = dir
	}
	r.workload = w
	return nil
}

// makeVolume makes an empty directory that everybody may write to.
func (r *Runtime) makeVolume(v agentpb.Volume) (string, error) {
	if !v.Memory {
		return r.conf.Volume(v.Name)
	}
	dir := filepath.Join(r.conf.Dir, "volumes", v.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	options := "mode=0777"
	if v.SizeLimit > 0 {
		options += ",size=" + strconv.FormatInt(int64(v.SizeLimit), 10)
	}
	return dir, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV, options)
}

// Settle implements runtime.Runtime.
func (r *Runtime) Settle() error { return errors.Join(r.settleDisks(), r.releaseShares()) }

func (r *Runtime) settleDisks() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workload == nil {
		return nil
	}
	for _, v := range r.workload.Volumes {
		if v.Disk == "" {
			continue
		}
		if err := syncDir(r.volumes[v.Name]); err != nil {
			return fmt.Errorf("settle volume %s: %w", v.Name, err)
		}
	}
	return nil
}

// syncDir writes out the file system of a directory.
func syncDir(dir string) error {
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return unix.Syncfs(int(root.Fd()))
}

// Lost implements runtime.Runtime. It is never closed: when the VM dies, so does
// this process.
func (r *Runtime) Lost() <-chan struct{} { return r.lost }

// Cause implements runtime.Runtime.
func (r *Runtime) Cause() runtime.Loss { return runtime.Loss{} }
