package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/machine"
)

// checkNFS refuses directories of NFS servers where no kernel of the instance's own could
// mount them.
func checkNFS(isolation api.Isolation, spec api.InstanceSpec) error {
	if isolation == api.IsolationVM {
		return nil
	}
	i := slices.IndexFunc(spec.Volumes, func(v api.Volume) bool { return v.NFS != nil })
	if i < 0 {
		return nil
	}
	return api.FieldError(fmt.Sprintf("volumes[%d].nfs", i), "only a virtual machine can mount NFS, and the instance would be one of isolation %s", isolation).
		WithNext("ask for a virtual machine: `cis run --isolation vm`, in Kubernetes `runtimeClassName: cis-vm`")
}

// isMountFailure tells of an agent's error whether it is about a volume.
func isMountFailure(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	return ok && strings.HasPrefix(e.Field, "volumes[")
}

// shares are the volumes of an instance that its agent mounts from servers.
func shares(spec api.InstanceSpec) (volumes []machine.Volume) {
	for _, v := range spec.Volumes {
		if v.NFS != nil {
			volumes = append(volumes, machine.Volume{Name: v.Name, NFS: true})
		}
	}
	return volumes
}

// share is a volume for the agent to mount. Who owns what is in it is the server's business.
func share(v api.Volume) agentpb.Volume {
	return agentpb.Volume{Name: v.Name, NFS: &agentpb.NFS{
		Server: v.NFS.Server, Path: v.NFS.Path, ReadOnly: v.NFS.ReadOnly, Versions: v.NFS.Versions(),
	}}
}
