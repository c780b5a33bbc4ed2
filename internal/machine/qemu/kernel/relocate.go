package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// mapAddress is the virtual address of physical address 0 in a kernel that has not
	// been moved, linked where it is linked to run.
	mapAddress = 0xffffffff80000000
	linked     = 16 << 20
	// imageSpace is how much room there is from mapAddress on, and align what a kernel
	// can be moved by.
	imageSpace, align = 1 << 30, 2 << 20
)

// Offsets in an ELF file of 64 bits.
const (
	elfEntry, elfPrograms, elfSections = 0x18, 0x20, 0x28
	programPhysical                    = 0x18 // in a program header
	programHeader, sectionHeader       = 56, 64
)

// image is an unpacked kernel, an ELF file, with its relocations behind it.
type image struct {
	data     []byte
	file     *elf.File
	programs uint64 // where their headers are
}

func readImage(data []byte) (image, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return image{}, err
	}
	if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB || f.Machine != elf.EM_X86_64 {
		return image{}, fmt.Errorf("it is for %v: must be x86-64", f.Machine)
	}
	return image{data: data, file: f, programs: binary.LittleEndian.Uint64(data[elfPrograms:])}, nil
}

// at returns so many bytes of what is loaded at a virtual address of the kernel as it was linked.
func (i image) at(virtual uint64, size uint64) ([]byte, error) {
	physical := virtual - mapAddress
	for _, p := range i.file.Progs {
		if p.Type == elf.PT_LOAD && physical >= p.Paddr && physical-p.Paddr < p.Filesz && p.Filesz-(physical-p.Paddr) >= size {
			from := p.Off + physical - p.Paddr
			if end := from + size; end > from && end <= uint64(len(i.data)) {
				return i.data[from:end], nil
			}
		}
	}
	return nil, fmt.Errorf("a relocation is at %#x, where nothing is loaded", virtual)
}

// relocations are the kinds of them. Each has a list of where it is to be done, which begins with a
// zero and is read from its end; the lists follow the ELF file in reverse order.
var relocations = []struct {
	size  uint64
	apply func(field []byte, by uint64)
}{
	{4, func(f []byte, by uint64) {
		binary.LittleEndian.PutUint32(f, binary.LittleEndian.Uint32(f)+uint32(by))
	}},
	// What is relative to data of a processor, which does not move.
	{4, func(f []byte, by uint64) {
		binary.LittleEndian.PutUint32(f, binary.LittleEndian.Uint32(f)-uint32(by))
	}},
	{8, func(f []byte, by uint64) {
		binary.LittleEndian.PutUint64(f, binary.LittleEndian.Uint64(f)+by)
	}},
}

// relocate moves the kernel's virtual addresses.
func (i image) relocate(by uint64) error {
	const entry = 4
	end := len(i.data)
	for _, kind := range relocations {
		for {
			if end -= entry; end < 0 {
				return errors.New("its relocations have no beginning")
			}
			at := int32(binary.LittleEndian.Uint32(i.data[end:]))
			if at == 0 {
				break
			}
			field, err := i.at(uint64(int64(at)), kind.size)
			if err != nil {
				return err
			}
			kind.apply(field, by)
		}
	}
	// The section headers are the last of the ELF file: a kernel with other lists would not come
	// out there.
	sections := binary.LittleEndian.Uint64(i.data[elfSections:]) + uint64(len(i.file.Sections))*sectionHeader
	if uint64(end) != sections {
		return fmt.Errorf("its relocations begin at %d, not behind its file of %d bytes", end, sections)
	}
	return nil
}

// move has the kernel loaded so many bytes further on, and returns the physical
// address of its entry.
func (i image) move(by uint64) uint64 {
	for n, p := range i.file.Progs {
		at := i.programs + uint64(n)*programHeader
		binary.LittleEndian.PutUint64(i.data[at+programPhysical:], p.Paddr+by)
	}
	entry := i.file.Entry + by
	binary.LittleEndian.PutUint64(i.data[elfEntry:], entry)
	return entry
}
