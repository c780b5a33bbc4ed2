package guest

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// become makes the kernel this VM's own: its name, its clock, its random numbers.
func become(c Config) error {
	if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	now := unix.NsecToTimeval(c.Time.UnixNano())
	if behind := time.Since(c.Time).Abs(); behind > time.Second {
		if err := unix.Settimeofday(&now); err != nil {
			return fmt.Errorf("set the clock: %w", err)
		}
	}
	if err := seed(c.Seed); err != nil {
		return fmt.Errorf("seed the random numbers: %w", err)
	}
	return nil
}

// seed adds to the kernel's random numbers and makes it draw on that at once.
func seed(data []byte) error {
	random, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer random.Close()
	// struct rand_pool_info: the bits of entropy, the bytes, the data.
	info := binary.NativeEndian.AppendUint32(nil, uint32(8*len(data)))
	info = binary.NativeEndian.AppendUint32(info, uint32(len(data)))
	info = append(info, data...)
	if err := ioctl(random, unix.RNDADDENTROPY, info); err != nil {
		return err
	}
	return ioctl(random, unix.RNDRESEEDCRNG, nil)
}
