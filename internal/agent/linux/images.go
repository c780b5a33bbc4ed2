package linux

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// images are the EROFS images that are mounted, each once and as long as somebody
// uses it.
type images struct {
	dir  string
	disk func(path string) (string, error)

	mu     sync.Mutex
	number int
	mounts map[string]*imageMount
}

type imageMount struct {
	dir   string
	users int
}

func newImages(dir string, disk func(string) (string, error)) *images {
	return &images{dir: dir, disk: disk, mounts: map[string]*imageMount{}}
}

// acquire returns the directory where an image is mounted, until it is released.
func (i *images) acquire(path string) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	m := i.mounts[path]
	if m == nil {
		dir, err := i.mount(path)
		if err != nil {
			return "", fmt.Errorf("mount image %s: %w", path, err)
		}
		m = &imageMount{dir: dir}
		i.mounts[path] = m
	}
	m.users++
	return m.dir, nil
}

func (i *images) mount(path string) (string, error) {
	source, err := i.disk(path)
	if err != nil {
		return "", err
	}
	i.number++
	dir := filepath.Join(i.dir, strconv.Itoa(i.number))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := unix.Mount(source, dir, "erofs", unix.MS_RDONLY|unix.MS_NODEV, ""); err != nil {
		os.Remove(dir)
		return "", err
	}
	return dir, nil
}

func (i *images) release(path string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	m := i.mounts[path]
	if m.users--; m.users > 0 {
		return nil
	}
	delete(i.mounts, path)
	return unmount(m.dir)
}

// unmount takes down a mount, whoever still uses it, and its mount point.
func unmount(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return os.Remove(dir)
}
