// Package initramfs writes the archive that a microVM's kernel starts from: the agent
// as its first program, what the agent runs, and the kernel modules that it loads.
//
// It reads Debian's packages as they are unpacked: modules without an index, and
// programs with the shared libraries they name. It compresses nothing, because the
// kernel unpacks plain files fastest, and never asks the network for anything.
package initramfs
