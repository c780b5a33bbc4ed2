package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pierrec/lz4/v4"
)

// Where fields of a bzImage's header are, from the start of the file.
const (
	setupSectors  = 0x1f1
	magic         = 0x202
	version       = 0x206
	loadFlags     = 0x211
	codeStart     = 0x214
	payloadOffset = 0x248 // from the end of the real-mode code
	payloadLength = 0x24c
	initSize      = 0x260
	headerEnd     = 0x264
)

const (
	sector = 512
	// leastVersion of the protocol whose header has all of these.
	leastVersion = 0x20a
	// loadedHigh and randomized are flags of loadFlags: protected-mode code is at
	// loaderAddress, and the kernel shall place its data at random.
	loadedHigh, randomized = 1 << 0, 1 << 1
	// loaderAddress is where a bzImage's protected-mode code is loaded.
	loaderAddress = 0x100000
)

// bzImage is a kernel's file in parts.
type bzImage struct {
	setup   []byte // the real-mode code with the header
	payload []byte // packed: an ELF file with its relocations
	// size of the memory that the kernel takes until it knows what is free, in bytes.
	size uint64
}

func parse(data []byte) (bzImage, error) {
	if len(data) < headerEnd || string(data[magic:magic+4]) != "HdrS" {
		return bzImage{}, errors.New("not a bzImage")
	}
	if v := binary.LittleEndian.Uint16(data[version:]); v < leastVersion {
		return bzImage{}, fmt.Errorf("boot protocol %#x: must be at least %#x", v, leastVersion)
	}
	if start := binary.LittleEndian.Uint32(data[codeStart:]); data[loadFlags]&loadedHigh == 0 || start != loaderAddress {
		return bzImage{}, fmt.Errorf("its code is to be loaded at %#x: must be %#x", start, loaderAddress)
	}
	code := (int(data[setupSectors]) + 1) * sector
	from := code + int(binary.LittleEndian.Uint32(data[payloadOffset:]))
	to := from + int(binary.LittleEndian.Uint32(data[payloadLength:]))
	if code < headerEnd || to > len(data) {
		return bzImage{}, fmt.Errorf("it is cut off: %d bytes of %d", len(data), to)
	}
	return bzImage{setup: data[:code], payload: data[from:to], size: uint64(binary.LittleEndian.Uint32(data[initSize:]))}, nil
}

// The payload of a kernel packed with LZ4: the magic of its legacy frame, blocks with their
// packed lengths before them, and the unpacked length of all.
const (
	lz4Magic   = 0x184c2102
	lz4Block   = 8 << 20 // what a block holds unpacked, the last one less
	lengthSize = 4
)

// unpackedSize of a payload, in bytes.
func unpackedSize(payload []byte) (int, error) {
	if len(payload) < 2*lengthSize || binary.LittleEndian.Uint32(payload) != lz4Magic {
		return 0, errors.New("it is not packed with LZ4")
	}
	size := binary.LittleEndian.Uint32(payload[len(payload)-lengthSize:])
	if size > imageSpace {
		return 0, fmt.Errorf("it says that it has %d bytes unpacked: at most %d are possible", size, imageSpace)
	}
	return int(size), nil
}

// unpack unpacks a payload to where there is room for exactly unpackedSize.
func unpack(payload, to []byte) error {
	blocks, done := payload[lengthSize:len(payload)-lengthSize], 0
	for len(blocks) >= lengthSize {
		packed := uint64(binary.LittleEndian.Uint32(blocks))
		blocks = blocks[lengthSize:]
		if packed > uint64(len(blocks)) {
			return errors.New("unpack: a block is cut off")
		}
		n, err := lz4.UncompressBlock(blocks[:packed], to[done:min(done+lz4Block, len(to))])
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		blocks, done = blocks[packed:], done+n
	}
	if done != len(to) {
		return fmt.Errorf("unpack: %d bytes instead of %d", done, len(to))
	}
	return nil
}
