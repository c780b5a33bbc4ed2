package qemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"cis/api"
	"cis/internal/agent"
)

// minDisk is the smallest disk that is worth a file system.
const minDisk = 1 * api.MiB

// scratchSize is what the agent needs at most for the output of that many containers:
// it keeps two attempts of each.
func scratchSize(containers int) api.Bytes {
	return 64*api.MiB + api.Bytes(containers)*2*agent.DefaultLogLimit
}

// makeDisk makes a disk that is written to: a sparse file with a file system in
// which the guest may use as many bytes as were asked for.
func (m *Machine) makeDisk(ctx context.Context, id, name string, size api.Bytes) (string, error) {
	path := filepath.Join(m.dir(id), name+".disk")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if err := file.Truncate(int64(max(size, minDisk))); err != nil {
		return "", err
	}
	// Nothing of it is worth a journal: it ends with the VM.
	out, err := exec.CommandContext(ctx, m.conf.Mke2fs, "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal,^resize_inode",
		"-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mke2fs: %w: %s", err, tail(string(out)))
	}
	return path, nil
}
