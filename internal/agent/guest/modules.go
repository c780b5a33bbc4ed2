package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// loadModules loads the modules of a directory in the order of their names.
func loadModules(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := loadModule(path); err != nil {
			return fmt.Errorf("load %s: %w", path, err)
		}
		if strings.HasSuffix(path, "-virtio.ko") { // the bus is there, and no driver yet
			if err := holdDrivers(); err != nil {
				return fmt.Errorf("hold the drivers back: %w", err)
			}
		}
	}
	return nil
}

// loadImage loads the modules of an image that the host has at path.
func (g *Guest) loadImage(path string) error {
	device, err := g.Image(path)
	if err != nil {
		return err
	}
	const at = "/run/modules"
	if err := mount(device, at, "erofs", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	return errors.Join(loadModules(at), unix.Unmount(at, 0))
}

func loadModule(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.FinitModule(int(file.Fd()), "", 0); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}
