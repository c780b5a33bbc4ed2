package qemu

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// helloCode writes three bytes and exits with 0.
const helloCode = "\xb8\x01\x00\x00\x00" + // mov eax, SYS_write
	"\xbf\x01\x00\x00\x00" + // mov edi, 1
	"\x48\x8d\x35\x10\x00\x00\x00" + // lea rsi, [rip+16]: the text behind the code
	"\xba\x03\x00\x00\x00" + // mov edx, 3
	"\x0f\x05" + // syscall
	"\x31\xff" + // xor edi, edi
	"\xb8\x3c\x00\x00\x00" + // mov eax, SYS_exit
	"\x0f\x05" + // syscall
	"hi\n"

// hello is the smallest program that says something. An emulated processor forgets the
// translation of a program when the pages of its file are used for something else, and
// that takes it time: the less there is of it the better.
func hello() []byte {
	const at, headers = 0x400000, 64 + 56
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: at + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	size := uint64(headers + len(helloCode))
	load := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: at, Paddr: at, Filesz: size, Memsz: size, Align: 0x1000,
	}
	var program bytes.Buffer
	_ = binary.Write(&program, binary.LittleEndian, header) // to memory: never fails
	_ = binary.Write(&program, binary.LittleEndian, load)
	program.WriteString(helloCode)
	return program.Bytes()
}
