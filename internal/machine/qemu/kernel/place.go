package kernel

import (
	"crypto/rand"
	"fmt"
	"io"
	"math/big"

	"golang.org/x/sys/unix"
)

// Place unpacks the kernel of a bzImage, moves it to random addresses, of which the physical ones
// end below a limit, and writes it, as an ELF file, and the bzImage that enters it.
// It returns an error for a kernel that is packed or made otherwise than Debian's of today.
func Place(kernel []byte, limit uint64, placed, loading io.Writer) error {
	if err := place(kernel, limit, placed, loading); err != nil {
		return fmt.Errorf("place the kernel: %w", err)
	}
	return nil
}

func place(kernel []byte, limit uint64, placed, loading io.Writer) error {
	packed, err := parse(kernel)
	if err != nil {
		return err
	}
	size, err := unpackedSize(packed.payload)
	if err != nil {
		return err
	}
	// So much for so short a time is not for the collector.
	data, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(data)
	if err := unpack(packed.payload, data); err != nil {
		return err
	}
	image, err := readImage(data)
	if err != nil {
		return err
	}
	virtual, err := distance(packed.size, imageSpace)
	if err != nil {
		return err
	}
	physical, err := distance(packed.size, limit)
	if err != nil {
		return err
	}
	if err := image.relocate(virtual); err != nil {
		return err
	}
	entry := image.move(physical)
	if _, err := placed.Write(data); err != nil {
		return err
	}
	_, err = loading.Write(loader(packed.setup, uint32(entry)))
	return err
}

// distance is how far to move a kernel of a size, which is linked for 16 MiB, so that it ends
// below a limit: each possible one is as likely.
func distance(size, limit uint64) (uint64, error) {
	if linked+size > limit {
		return 0, fmt.Errorf("it needs %d bytes from %d on, and there are %d", size, linked, limit)
	}
	n, err := rand.Int(rand.Reader, big.NewInt(int64((limit-linked-size)/align+1)))
	if err != nil {
		return 0, err
	}
	return n.Uint64() * align, nil
}
