package qemu

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"cis/internal/agent/guest"
	"cis/internal/machine/qemu/initramfs"
)

// makeNFSImage is for nfsImage. What VMs are started with does not depend on it: a template
// has nothing of it.
func (m *Machine) makeNFSImage() (string, error) {
	path := filepath.Join(m.conf.Dir, "nfs.erofs")
	return path, m.replace(path, func(to *os.File) error {
		return initramfs.WriteImage(to, m.conf.Initramfs.ModulesFrom, initramfs.NFSModules)
	})
}

// loadNFS lends the guest the image with the kernel's NFS client, as long as it takes to load
// that: a VM that mounts no NFS has nothing of it.
func (v *vm) loadNFS(ctx context.Context) error {
	image, err := v.m.nfsImage()
	if err != nil {
		return err
	}
	disks, err := v.plugAll(ctx, []diskFile{{use: guest.ImageDisk, name: image, path: image}})
	if err != nil {
		return err
	}
	if err := v.request(ctx, guest.Request{Time: time.Now(), Disks: disks, Modules: image, Free: disks}); err != nil {
		return err
	}
	return v.unplugAll(ctx, disks)
}
