package kernel

import (
	"bytes"
	"encoding/binary"
)

// Where things are in the protected-mode code that stands for a kernel.
const (
	longMode    = 0x100
	descriptors = 0x200
	tables      = 0x1000 // page tables: one of the fourth level, one of the third, four of the second
	page        = 0x1000
	loaderSize  = tables + 6*page
)

// loader is the bzImage that enters a kernel at a physical address: 64-bit mode with the
// first 4 GiB mapped where they are, and the boot parameters in rsi.
func loader(setup []byte, entry uint32) []byte {
	data := append(bytes.Clone(setup), make([]byte, loaderSize)...)
	data[loadFlags] |= randomized
	code := data[len(setup):]
	copy(code, protectedMode())
	copy(code[longMode:], enter(entry))
	writeDescriptors(code[descriptors:])
	writeTables(code[tables:])
	return data
}

// protectedMode switches to long mode, as Intel's manual has it (volume 3, 10.8.5).
func protectedMode() []byte {
	code := []byte{
		0xfa,             // cli
		0xfc,             // cld
		0x0f, 0x01, 0x15, // lgdt
	}
	code = binary.LittleEndian.AppendUint32(code, loaderAddress+descriptors)
	code = append(code,
		0x0f, 0x20, 0xe0, // mov eax, cr4
		0x83, 0xc8, 0x20, // or eax, PAE
		0x0f, 0x22, 0xe0, // mov cr4, eax
		0xb8, // mov eax, the tables
	)
	code = binary.LittleEndian.AppendUint32(code, loaderAddress+tables)
	code = append(code,
		0x0f, 0x22, 0xd8, // mov cr3, eax
		0xb9, 0x80, 0x00, 0x00, 0xc0, // mov ecx, EFER
		0x0f, 0x32, // rdmsr
		0x0d, 0x00, 0x01, 0x00, 0x00, // or eax, LME
		0x0f, 0x30, // wrmsr
		0x0f, 0x20, 0xc0, // mov eax, cr0
		0x0d, 0x00, 0x00, 0x00, 0x80, // or eax, PG
		0x0f, 0x22, 0xc0, // mov cr0, eax
		0xea, // jmp far
	)
	code = binary.LittleEndian.AppendUint32(code, loaderAddress+longMode)
	return binary.LittleEndian.AppendUint16(code, codeSegment)
}

// enter jumps to the kernel.
func enter(entry uint32) []byte {
	code := []byte{
		0x89, 0xf6, // mov esi, esi: the upper half of rsi is undefined
		0xb8, // mov eax, entry
	}
	code = binary.LittleEndian.AppendUint32(code, entry)
	return append(code, 0xff, 0xe0) // jmp rax
}

// codeSegment is that of the boot protocol; the one of data follows.
const codeSegment = 0x10

func writeDescriptors(to []byte) {
	const table, size = 0x10, 0x20
	binary.LittleEndian.PutUint16(to, size-1)
	binary.LittleEndian.PutUint32(to[2:], loaderAddress+descriptors+table)
	binary.LittleEndian.PutUint64(to[table+codeSegment:], 0x00af9a000000ffff)
	binary.LittleEndian.PutUint64(to[table+codeSegment+8:], 0x00cf92000000ffff)
}

func writeTables(to []byte) {
	const writable, large, entry = 0x3, 0x80, 8
	binary.LittleEndian.PutUint64(to, loaderAddress+tables+page|writable)
	for n := range 4 {
		binary.LittleEndian.PutUint64(to[page+n*entry:], uint64(loaderAddress+tables+(2+n)*page|writable))
	}
	for n := range 4 * page / entry {
		binary.LittleEndian.PutUint64(to[2*page+n*entry:], uint64(n)*align|large|writable)
	}
}
