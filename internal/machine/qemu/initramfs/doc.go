// Package initramfs writes the archive that a microVM's kernel starts from: the agent
// as its first program, what the agent runs, and the kernel modules that it loads.
//
// It reads the modules of Debian's package as it is unpacked, without an index. It
// compresses nothing, because the kernel unpacks plain files fastest, and never asks
// the network for anything.
package initramfs
