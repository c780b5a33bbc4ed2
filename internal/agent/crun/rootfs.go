package crun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/etc"
)

// image mounts an image once for all who use it.
func (r *Runtime) image(path string) (dir string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if dir := r.images[path]; dir != "" {
		return dir, nil
	}
	device, err := r.conf.Image(path)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(r.conf.Dir, "images", strconv.Itoa(len(r.images)))
	if err := mount(device, dir, "erofs", unix.MS_RDONLY|unix.MS_NODEV, ""); err != nil {
		return "", err
	}
	r.images[path] = dir
	return dir, nil
}

// layer is the writable directory of a container, the same for all its attempts.
func (r *Runtime) layer(name string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if dir := r.layers[name]; dir != "" {
		return dir, nil
	}
	if len(r.layers) == len(r.conf.Layers) {
		return "", fmt.Errorf("the VM was started with room for %d containers", len(r.conf.Layers))
	}
	r.layers[name] = r.conf.Layers[len(r.layers)]
	return r.layers[name], nil
}

// makeRoot mounts the container's root: its image under a writable layer that is
// empty but for what the instance has in /etc.
func (c *container) makeRoot(w *agentpb.Workload) error {
	lower, err := c.runtime.image(c.spec.Rootfs)
	if err != nil {
		return err
	}
	layer, err := c.runtime.layer(c.spec.Name)
	if err != nil {
		return err
	}
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	for _, dir := range []string{upper, work} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := likeRoot(upper, lower); err != nil {
		return err
	}
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if err := mount("overlay", c.root(), "overlay", unix.MS_NODEV, options); err != nil {
		return err
	}
	return c.furnish(w)
}

// likeRoot gives the merged root the owner and mode of the image's.
func likeRoot(upper, lower string) error {
	var stat unix.Stat_t
	if err := unix.Stat(lower, &stat); err != nil {
		return err
	}
	if err := os.Chown(upper, int(stat.Uid), int(stat.Gid)); err != nil {
		return err
	}
	return unix.Chmod(upper, stat.Mode&0o7777)
}

// furnish makes what the image may lack. No symlink of the image leads out.
func (c *container) furnish(w *agentpb.Workload) error {
	root, err := os.OpenRoot(c.root())
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat("tmp"); errors.Is(err, fs.ErrNotExist) {
		if err := root.Mkdir("tmp", 0o755); err != nil {
			return err
		}
		if err := root.Chmod("tmp", 0o777|fs.ModeSticky); err != nil {
			return err
		}
	}
	if err := root.MkdirAll("etc", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, file := range etc.Files(w) {
		name := "etc/" + file.Name
		// Where the image has a link, it is the container's file that is meant.
		if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
			if err := root.Remove(name); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, []byte(file.Content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// prepareVolume makes a volume that starts empty.
func (r *Runtime) prepareVolume(v agentpb.Volume) error {
	switch {
	case v.Image != "":
		return nil // mounted when it is used
	case v.Memory:
		return mount("tmpfs", r.memoryVolume(v.Name), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("mode=0777,size=%d", v.SizeLimit))
	}
	_, err := r.conf.Volume(v.Name)
	return err
}

func (r *Runtime) memoryVolume(name string) string { return filepath.Join(r.conf.Dir, "volumes", name) }

// source is what is mounted for a volume.
func (r *Runtime) source(w *agentpb.Workload, name string) (string, error) {
	for _, v := range w.Volumes {
		switch {
		case v.Name != name:
			continue
		case v.Image != "":
			return r.image(v.Image)
		case v.Memory:
			return r.memoryVolume(name), nil
		}
		return r.conf.Volume(name)
	}
	return "", fmt.Errorf("there is no volume %s", name)
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", strings.TrimSpace(kind), target, err)
	}
	return nil
}
