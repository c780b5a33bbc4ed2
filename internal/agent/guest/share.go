package guest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"cis/internal/agent/agentpb"
	"cis/internal/agent/nfs"
	"cis/internal/agent/rootfs"
)

// clientName is the parameter of the kernel's NFS client by which servers tell clients apart
// that have the same host name.
const clientName = "/sys/module/nfs/parameters/nfs4_unique_id"

// Share mounts a volume of a workload that is a directory of an NFS server. The kernel's client
// has to be loaded (Request.Modules).
func (g *Guest) Share(ctx context.Context, w *agentpb.Workload, v agentpb.Volume) (*nfs.Share, error) {
	if err := os.WriteFile(clientName, []byte(w.ID), 0); err != nil {
		return nil, fmt.Errorf("name the NFS client: %w", err)
	}
	// The server's name is looked up here, as programs in the containers would.
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return nil, err
	}
	for _, file := range rootfs.Etc(w) {
		if err := os.WriteFile(filepath.Join("/etc", file.Name), []byte(file.Content), 0o644); err != nil {
			return nil, err
		}
	}
	return nfs.Mount(ctx, v.NFS, filepath.Join("/run/nfs", v.Name))
}
