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
	// places of use and name.
	places map[purpose]place
}

// purpose is what a disk is for.
type purpose struct {
	use  DiskUse
	name string
}

// place is where a disk is found: a device for an image, else a directory.
type place struct {
	slot int
	path string
}

func newDisks(d devices) disks {
	return disks{devices: d, mu: &sync.Mutex{}, places: map[purpose]place{}}
}

// add takes disks into use.
func (d disks) add(ctx context.Context, all []Disk) error {
	for _, disk := range all {
		path, err := d.open(ctx, disk)
		if err != nil {
			return fmt.Errorf("use disk %d for %s %s: %w", disk.Slot, disk.Use, disk.Name, err)
		}
		d.mu.Lock()
		d.places[purpose{disk.Use, disk.Name}] = place{disk.Slot, path}
		d.mu.Unlock()
	}
	return nil
}

// free takes disks out of use; another may come into their slots.
func (d disks) free(all []Disk) error {
	for _, disk := range all {
		if err := d.close(disk); err != nil {
			return fmt.Errorf("free disk %d of %s %s: %w", disk.Slot, disk.Use, disk.Name, err)
		}
	}
	return nil
}

func (d disks) close(disk Disk) error {
	path, err := d.find(disk.Use, disk.Name)
	if err != nil {
		return err
	}
	if disk.Use != ImageDisk {
		if err := unix.Unmount(path, 0); err != nil {
			return err
		}
	}
	d.mu.Lock()
	delete(d.places, purpose{disk.Use, disk.Name})
	d.mu.Unlock()
	return d.devices.unbind(disk.Slot, "virtio_blk")
}

// rename makes the disk of one name that of another.
func (d disks) rename(use DiskUse, from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	disk, ok := d.places[purpose{use, from}]
	if !ok {
		return fmt.Errorf("the VM has no disk for %s %s", use, from)
	}
	delete(d.places, purpose{use, from})
	d.places[purpose{use, to}] = disk
	return nil
}

// find gives the place of a disk by what it is for.
func (d disks) find(use DiskUse, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	disk, ok := d.places[purpose{use, name}]
	if !ok {
		return "", fmt.Errorf("the VM has no disk for %s %s", use, name)
	}
	return disk.path, nil
}

// open starts a disk's driver, and mounts what is written to.
func (d disks) open(ctx context.Context, disk Disk) (path string, err error) {
	device, err := d.devices.bind(disk.Slot, "virtio_blk")
	if err != nil {
		return "", err
	}
	node, err := await(ctx, below(device+"/block"))
	if err != nil {
		return "", err
	}
	block := filepath.Join("/dev", node)
	switch disk.Use {
	case ImageDisk:
		return block, nil
	case ScratchDisk:
		path = StateDir
	default:
		path = filepath.Join("/run/disks", strconv.Itoa(disk.Slot))
	}
	if disk.Use == KeptDisk {
		if err := ext4.Mount(block, path); err != nil {
			return "", err
		}
		// It may have been made bigger since it was used last.
		return path, ext4.Grow(block, path)
	}
	// The host's file has zeros where no inode has been, and need not be told so.
	if err := mount(block, path, "ext4", unix.MS_NODEV|unix.MS_NOATIME, "noinit_itable"); err != nil {
		return "", err
	}
	// What the file system keeps for itself is not for programs to see.
	if err := os.Remove(path + "/lost+found"); err != nil {
		return "", err
	}
	if disk.Use == VolumeDisk {
		return path, os.Chmod(path, 0o777) // as every emptyDir
	}
	return path, nil
}
