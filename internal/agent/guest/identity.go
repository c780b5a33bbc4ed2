package guest

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// become makes the kernel this VM's own: its random numbers first, for all that
// follows may draw some.
func become(ctx context.Context, d devices, id Identity) error {
	if err := seed(id.Seed); err != nil {
		return fmt.Errorf("seed the random numbers: %w", err)
	}
	if err := unix.Sethostname([]byte(id.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return configureNetwork(ctx, d, id)
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
