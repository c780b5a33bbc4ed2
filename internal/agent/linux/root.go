package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/lastwords"
	"cis/internal/agent/rootfs"
)

// mountRoot makes the root of a container: its image, under a writable layer with
// the instance's files. Device files of either are dead.
func (c *container) mountRoot(w *agentpb.Workload) error {
	image, err := c.acquire(c.spec.Rootfs)
	if err != nil {
		return err
	}
	layers, err := c.r.conf.Layer(c.name)
	if err != nil {
		return err
	}
	c.layer = filepath.Join(layers, c.id)
	return c.overlay(image, w)
}

// overlay puts a writable layer over an image.
func (c *container) overlay(image string, w *agentpb.Workload) error {
	upper, work, root := filepath.Join(c.layer, "upper"), filepath.Join(c.layer, "work"), c.root()
	for _, dir := range []string{upper, work, root} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	// Nothing outlives the VM, so nothing need be written back for that.
	options := fmt.Sprintf("volatile,lowerdir=%s,upperdir=%s,workdir=%s", image, upper, work)
	if err := unix.Mount("overlay", root, "overlay", unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	c.mounted = true
	if c.spec.MessagePath != "" {
		if err := lastwords.Make(c.message()); err != nil {
			return err
		}
	}
	if err := writeRoot(root, w, c.spec); err != nil {
		return fmt.Errorf("write the upper layer: %w", err)
	}
	return nil
}

// writeRoot puts into a root what containers have besides their image. No program
// runs in it yet, so a path that was looked at stays what it was.
func writeRoot(dir string, w *agentpb.Workload, c *agentpb.Container) error {
	root := layer{dir, os.DirFS(dir).(fs.ReadLinkFS)}
	if err := root.ensure("tmp", fs.ModeSticky|0o777); err != nil {
		return err
	}
	for _, name := range append(rootfs.Dirs(c), "etc") {
		if err := root.ensure(name, 0o755); err != nil {
			return err
		}
	}
	etc, err := rootfs.Resolve(root.image, "etc")
	if err != nil {
		return err
	}
	for _, file := range rootfs.Etc(w) {
		if err := root.replace(path.Join(etc, file.Name), file.Content); err != nil {
			return err
		}
	}
	return nil
}

type layer struct {
	dir   string
	image fs.ReadLinkFS
}

// ensure makes a directory, with those above it, unless something is there.
func (l layer) ensure(name string, mode fs.FileMode) error {
	at, err := rootfs.Resolve(l.image, name)
	if err != nil {
		return err
	}
	if _, err := l.image.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	at = filepath.Join(l.dir, at)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	return os.Chmod(at, mode)
}

// replace writes a file in place of whatever has its name.
func (l layer) replace(name, content string) error {
	at := filepath.Join(l.dir, name)
	if err := os.RemoveAll(at); err != nil {
		return err
	}
	return os.WriteFile(at, []byte(content), 0o644)
}
