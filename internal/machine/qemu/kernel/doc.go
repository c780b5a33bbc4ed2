// Package kernel does on the host what a Linux kernel would do first in a guest: it
// unpacks the kernel, chooses at random where it runs, and relocates it. An emulated
// processor takes a tenth of a boot for that.
//
// A kernel that was placed is an ELF file to be loaded where that says, beside a bzImage of
// a few pages that stands for it in the boot protocol: its real-mode code is the kernel's own, and
// its protected-mode code enters the kernel. The kernel cannot tell it from one that unpacked itself:
// its addresses are as random, those of its data too, which it chooses itself.
//
// The formats are those of x86-64 (Documentation/arch/x86/boot.rst, handle_relocations in
// arch/x86/boot/compressed/misc.c). Package kernel starts nothing, and knows of no VMM.
package kernel
