package linux

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"cis/internal/agent/fileset"
)

// SetFiles implements runtime.Runtime. Each volume is a tmpfs of its own, which containers
// mount read-only.
func (r *Runtime) SetFiles(_ context.Context, volume string, files []fileset.File) error {
	dir, err := r.fileVolume(volume)
	if err != nil {
		return fmt.Errorf("make volume %s: %w", volume, err)
	}
	return fileset.Publish(dir, files)
}

func (r *Runtime) fileVolume(name string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if dir := r.files[name]; dir != "" {
		return dir, nil
	}
	dir := filepath.Join(r.conf.Dir, "files", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, "mode=0755,size="+strconv.Itoa(fileset.VolumeSize)); err != nil {
		return "", err
	}
	r.files[name] = dir
	return dir, nil
}
