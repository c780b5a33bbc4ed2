package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// deviceWait is how long a device may take to show up once its driver is there.
const deviceWait = 5 * time.Second

// errNoDevice is tried again for a while: drivers find their devices by themselves.
var errNoDevice = errors.New("no such device")

// await looks for a device until it is there.
func await(ctx context.Context, find func() (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	for {
		path, err := find()
		if !errors.Is(err, errNoDevice) {
			return path, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(time.Millisecond):
		}
	}
}

// disk finds the block device with a serial number.
func disk(serial string) func() (string, error) { return named("/sys/block/vd*/serial", serial) }

// port finds the virtio port with a name.
func port(name string) func() (string, error) { return named("/sys/class/virtio-ports/*/name", name) }

// named finds the device whose attribute, a file that the pattern matches, has a value.
func named(pattern, value string) func() (string, error) {
	return func() (string, error) {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err == nil && strings.TrimSpace(string(data)) == value {
				return "/dev/" + filepath.Base(filepath.Dir(path)), nil
			}
		}
		return "", fmt.Errorf("%s: %w", value, errNoDevice)
	}
}
