package initramfs

import (
	"bytes"
	"fmt"
	"os"

	"cis/internal/erofs"
)

// NFSModules are those of the kernel's NFS client. Version 4 of the protocol needs no more
// than these where nobody uses Kerberos: with auth_rpcgss loaded each mount would wait for a
// daemon that there is not.
var NFSModules = []string{"nfsv3", "nfsv4"}

// WriteImage writes modules, and all that they depend on, into an EROFS image, for VMs that
// shall load them later; from is the directory of the kernel's modules.
func WriteImage(to *os.File, from string, names []string) error {
	if err := writeImage(to, from, names); err != nil {
		return fmt.Errorf("write an image of kernel modules: %w", err)
	}
	return nil
}

func writeImage(to *os.File, from string, names []string) error {
	modules, err := readModules(from, names)
	if err != nil {
		return err
	}
	w, root := erofs.NewWriter(to), erofs.NewDir(0o755)
	for _, m := range modules {
		file := &erofs.Inode{Mode: erofs.TypeRegular | 0o644}
		if err := w.WriteData(file, bytes.NewReader(m.data), int64(len(m.data))); err != nil {
			return err
		}
		root.Entries[m.name] = file
	}
	_, err = w.Finish(root)
	return err
}
