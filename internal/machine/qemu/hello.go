package qemu

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// helloCode says hi and has the kernel do for it what it does for most programs.
const helloCode = "\xb8\x01\x00\x00\x00" + // mov eax, SYS_write
	"\xbf\x01\x00\x00\x00" + // mov edi, 1
	"\x48\x8d\x35\x80\x00\x00\x00" + // lea rsi, [rip+128]: the text behind the code
	"\xba\x03\x00\x00\x00" + // mov edx, 3
	"\x0f\x05" + // syscall
	// It reads each page of its data, and writes to the last one and to the one behind.
	"\xbb\x00\x00\x50\x00" + // mov ebx, helloData
	"\xb9\x10\x00\x00\x00" + // mov ecx, helloPages
	"\x8a\x03" + // next: mov al, [rbx]
	"\x48\x81\xc3\x00\x10\x00\x00" + // add rbx, 4096
	"\xff\xc9" + // dec ecx
	"\x75\xf3" + // jne next
	"\xc6\x83\x00\xf0\xff\xff\x01" + // mov byte [rbx-4096], 1
	"\xc6\x03\x01" + // mov byte [rbx], 1
	// It gets 64 KiB more, and writes there.
	"\xb8\x0c\x00\x00\x00" + // mov eax, SYS_brk
	"\x31\xff" + // xor edi, edi
	"\x0f\x05" + // syscall
	"\x48\x89\xc3" + // mov rbx, rax
	"\x48\x8d\xb8\x00\x00\x01\x00" + // lea rdi, [rax+65536]
	"\xb8\x0c\x00\x00\x00" + // mov eax, SYS_brk
	"\x0f\x05" + // syscall
	"\xc6\x83\x00\x10\x00\x00\x01" + // mov byte [rbx+4096], 1
	// It makes a page read-only.
	"\xb8\x0a\x00\x00\x00" + // mov eax, SYS_mprotect
	"\xbf\x00\x00\x50\x00" + // mov edi, helloData
	"\xbe\x00\x10\x00\x00" + // mov esi, 4096
	"\xba\x01\x00\x00\x00" + // mov edx, PROT_READ
	"\x0f\x05" + // syscall
	// It asks for its name.
	"\xb8\x59\x00\x00\x00" + // mov eax, SYS_readlink
	"\x48\x8d\x3d\x18\x00\x00\x00" + // lea rdi, [rip+24]: the path behind the text
	"\xbe\x00\x00\x51\x00" + // mov esi, helloData + 4096*helloPages
	"\xba\x40\x00\x00\x00" + // mov edx, 64
	"\x0f\x05" + // syscall
	"\x31\xff" + // xor edi, edi
	"\xb8\xe7\x00\x00\x00" + // mov eax, SYS_exit_group
	"\x0f\x05" + // syscall
	"hi\n" + "/proc/self/exe\x00"

// Where the program has its data, and how many pages that is.
const (
	helloData  = 0x500000
	helloPages = 16
)

// hello is a program that says something. Its code is small: an emulated processor forgets
// the translation of a program when the pages of its file are used for something else, and
// that takes it time.
func hello() []byte {
	const page, at, headers = 0x1000, 0x400000, 64 + 2*56
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: at + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	}
	size, data := uint64(headers+len(helloCode)), uint64(helloPages*page)
	segments := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: at, Paddr: at, Filesz: size, Memsz: size, Align: page},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: page, Vaddr: helloData, Paddr: helloData, Filesz: data, Memsz: data + page, Align: page},
	}
	var program bytes.Buffer
	_ = binary.Write(&program, binary.LittleEndian, header) // to memory: never fails
	_ = binary.Write(&program, binary.LittleEndian, segments)
	program.WriteString(helloCode)
	program.Write(make([]byte, page+data-size))
	return program.Bytes()
}
