package qemu

import (
	"os"
	"path/filepath"

	"cis/api"
	"cis/internal/machine/qemu/kernel"
)

// bootable is a kernel as VMs boot it.
type bootable struct {
	start string // what QEMU starts
	// placed is the kernel that this enters, with its addresses; "": it is the kernel itself.
	placed string
}

// makeBootable is for Machine.bootable. All VMs that this process boots have their kernel at
// the same addresses, as all copies of a template have.
func (m *Machine) makeBootable() (bootable, error) {
	packed, err := os.ReadFile(m.conf.Kernel)
	if err != nil {
		return bootable{}, err
	}
	b := bootable{start: filepath.Join(m.conf.Dir, "kernel.bz"), placed: filepath.Join(m.conf.Dir, "kernel.elf")}
	limit, err := m.kernelLimit()
	if err != nil {
		return bootable{}, err
	}
	err = m.replace(b.placed, func(placed *os.File) error {
		return m.replace(b.start, func(start *os.File) error { return kernel.Place(packed, limit, placed, start) })
	})
	if err != nil {
		m.conf.Log.Warn("VMs boot slower than they could", "because", err)
		return bootable{start: m.conf.Kernel}, nil
	}
	return b, nil
}

// kernelLimit is where a kernel must end to be in the memory of the smallest VM, below the
// initramfs and the firmware's tables.
func (m *Machine) kernelLimit() (uint64, error) {
	const tables = api.MiB
	initramfs, err := os.Stat(m.initramfsPath())
	if err != nil {
		return 0, err
	}
	return uint64(shapeOf(api.MinCPU, api.MinMemory).memory-tables) - uint64(initramfs.Size()), nil
}
