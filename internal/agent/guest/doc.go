// Package guest makes a microVM out of a kernel that has just started cis-agent as its
// first program: file systems, kernel modules, devices, the network.
//
// What a VM has for itself, its name, its address, its disks, it is told over a port
// by the host (Request). Until then it is like every other of its size, so that one
// that was started once can be copied, and the copy become any VM: nothing before the
// first request may take what must differ, and the devices that are not yet what they
// will be are left alone.
//
// It never runs containers: that is package linux's part, and the agent's.
package guest
