package runsc

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"cis/internal/disk"
	"cis/internal/ext4"
)

// mountDisk mounts the file of a disk, whose file system only this host's kernel has ever
// written. The mount is in the agent's own namespace and ends with the last of the
// sandbox's processes; the loop device goes with the mount.
func mountDisk(path, dir string) error {
	file, err := disk.Lock(path) // the device keeps the lock
	if err != nil {
		return err
	}
	defer file.Close()
	device, err := loopDevice(file)
	if err != nil {
		return fmt.Errorf("make a loop device: %w", err)
	}
	defer device.Close()
	return ext4.Mount(device.Name(), dir)
}

// loopDevice puts a file behind a free loop device, which is given back when nothing uses
// it any more.
func loopDevice(file *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO}}
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		device, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", number), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if err == nil {
			return device, nil
		}
		device.Close()
		if !errors.Is(err, unix.EBUSY) { // else another was faster
			return nil, err
		}
	}
}
