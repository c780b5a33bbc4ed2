// Package qemu is the machine.Machine whose sandboxes are microVMs: each has a kernel
// of its own, under a QEMU that is locked up, with the agent as its first process.
//
// A sandbox has a directory <Dir>/vms/<id>, with the sockets of its ports and of
// QEMU's control, its disks and QEMU's log; and a cgroup <Prefix>/<id> that holds
// QEMU with the limits. Whatever is in that cgroup and directory is the sandbox.
//
// A VM is a copy of a template: of one that was booted for its size, told that it is
// nobody yet, and saved. Templates are kept in <Dir>/templates; where there is none
// yet, a VM boots. Either way it has the same devices, with nothing behind the disks,
// and learns by package guest what it is; its disks get their files over QMP.
//
// QEMU gets everything as open files and opens none of a sandbox by name. The package
// knows nothing of containers; the agent starts them by its own protocol.
//
// Limits: Config.Dir may be at most 60 bytes long, because of the paths of unix
// sockets. A VM has at most guest.ReadOnlySlots images and guest.WritableSlots others.
package qemu
