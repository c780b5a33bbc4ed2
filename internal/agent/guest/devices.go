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

// Where a microvm has its virtio devices (QEMU's include/hw/i386/microvm.h,
// VIRTIO_MMIO_BASE), each after the one before.
const (
	mmioBase = 0xfeb00000
	mmioSize = 512
)

// devices are the directories in sysfs of the virtio devices, by slot. They are the
// same for the VM's life, and for that of its copies.
type devices map[int]string

// findDevices looks for the device in each slot by its address.
func findDevices() (devices, error) {
	claimants, err := readClaimants()
	if err != nil {
		return nil, err
	}
	found := devices{}
	for slot := range Slots {
		at := mmioBase + slot*mmioSize
		platform := claimants[fmt.Sprintf("%08x-%08x", at, at+mmioSize-1)]
		if platform == "" {
			continue
		}
		dirs, err := filepath.Glob("/sys/bus/platform/devices/" + platform + "/virtio*")
		if err != nil {
			return nil, err
		}
		if len(dirs) == 1 {
			found[slot] = dirs[0]
		}
	}
	return found, nil
}

// readClaimants reads from /proc/iomem which device has a range of addresses: it is
// named before its driver, which has the same range.
func readClaimants() (map[string]string, error) {
	data, err := os.ReadFile("/proc/iomem")
	if err != nil {
		return nil, err
	}
	claimants := map[string]string{}
	for line := range strings.Lines(string(data)) {
		where, who, _ := strings.Cut(strings.TrimSpace(line), " : ")
		if claimants[where] == "" {
			claimants[where] = who
		}
	}
	return claimants, nil
}

// bind starts the driver of the device in a slot, and returns the device's directory
// in sysfs. Nothing but this starts the driver of a virtio device.
func (d devices) bind(slot int, driver string) (device string, err error) {
	device = d[slot]
	if device == "" {
		return "", fmt.Errorf("there is no virtio device in slot %d", slot)
	}
	err = os.WriteFile("/sys/bus/virtio/drivers/"+driver+"/bind", []byte(filepath.Base(device)), 0)
	if err != nil {
		return "", fmt.Errorf("start the driver %s in slot %d: %w", driver, slot, err)
	}
	return device, nil
}

// unbind stops the driver of the device in a slot.
func (d devices) unbind(slot int, driver string) error {
	err := os.WriteFile("/sys/bus/virtio/drivers/"+driver+"/unbind", []byte(filepath.Base(d[slot])), 0)
	if err != nil {
		return fmt.Errorf("stop the driver %s in slot %d: %w", driver, slot, err)
	}
	return nil
}

// holdDrivers keeps drivers from taking devices by themselves.
func holdDrivers() error {
	return os.WriteFile("/sys/bus/virtio/drivers_autoprobe", []byte("0"), 0)
}

// deviceWait is how long a device may take to show up once its driver has it.
const deviceWait = 5 * time.Second

// errNoDevice is tried again for a while.
var errNoDevice = errors.New("no such device")

// await looks for a device until it is there.
func await(ctx context.Context, find func() (string, error)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deviceWait)
	defer cancel()
	for {
		found, err := find()
		if !errors.Is(err, errNoDevice) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(time.Millisecond):
		}
	}
}

// below finds the one entry of a directory.
func below(dir string) func() (string, error) {
	return func() (string, error) {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
			return "", fmt.Errorf("%s: %w", dir, errNoDevice)
		}
		if err != nil {
			return "", err
		}
		return entries[0].Name(), nil
	}
}
