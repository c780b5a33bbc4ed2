package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"cis/internal/ext4"
)

// disks are those that the host has added.
type disks struct {
	devices devices

	mu *sync.Mutex
	// places of use and name: a device for an image, else a directory.
	places map[Disk]string
}

func newDisks(d devices) disks {
	return disks{devices: d, mu: &sync.Mutex{}, places: map[Disk]string{}}
}

// add takes disks into use.
func (d disks) add(ctx context.Context, all []Disk) error {
	for _, disk := range all {
		place, err := d.open(ctx, disk)
		if err != nil {
			return fmt.Errorf("use disk %d for %s %s: %w", disk.Slot, disk.Use, disk.Name, err)
		}
		d.mu.Lock()
		d.places[Disk{Use: disk.Use, Name: disk.Name}] = place
		d.mu.Unlock()
	}
	return nil
}

// find gives the place of a disk by what it is for.
func (d disks) find(use DiskUse, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	place := d.places[Disk{Use: use, Name: name}]
	if place == "" {
		return "", fmt.Errorf("the VM has no disk for %s %s", use, name)
	}
	return place, nil
}

// open starts a disk's driver, and mounts what is written to.
func (d disks) open(ctx context.Context, disk Disk) (place string, err error) {
	device, err := d.devices.bind(disk.Slot, "virtio_blk")
	if err != nil {
		return "", err
	}
	node, err := await(ctx, below(device+"/block"))
	if err != nil {
		return "", err
	}
	path := filepath.Join("/dev", node)
	switch disk.Use {
	case ImageDisk:
		return path, nil
	case ScratchDisk:
		place = StateDir
	default:
		place = filepath.Join("/run/disks", strconv.Itoa(disk.Slot))
	}
	if disk.Use == KeptDisk {
		if err := ext4.Mount(path, place); err != nil {
			return "", err
		}
		// It may have been made bigger since it was used last.
		return place, ext4.Grow(path, place)
	}
	// The host's file has zeros where no inode has been, and need not be told so.
	if err := mount(path, place, "ext4", unix.MS_NODEV|unix.MS_NOATIME, "noinit_itable"); err != nil {
		return "", err
	}
	// What the file system keeps for itself is not for programs to see.
	if err := os.Remove(place + "/lost+found"); err != nil {
		return "", err
	}
	if disk.Use == VolumeDisk {
		return place, os.Chmod(place, 0o777) // as every emptyDir
	}
	return place, nil
}
