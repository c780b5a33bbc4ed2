package engine

import (
	"context"
	"slices"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/machine"
	"cis/internal/store"
)

// equip makes the workload of the instance as it is now, and gives the sandbox what
// the workload's containers are made of.
func (l *life) equip(ctx context.Context, rec store.Instance) (*agentpb.Workload, error) {
	w, err := l.workload(rec)
	if err != nil {
		return nil, &startError{reason: api.ReasonCreateError, permanent: true, err: err}
	}
	if err := l.sandbox.machine.Equip(ctx, l.sandbox.ID, l.disks(w)); err != nil {
		return nil, &startError{reason: api.ReasonCreateError, err: err}
	}
	return w, nil
}

// disks are what a workload's containers are made of: each image once, and a layer
// for each container.
func (l *life) disks(w *agentpb.Workload) (d machine.Disks) {
	add := func(path string) {
		if path != "" && !slices.ContainsFunc(d.Images, func(i machine.Image) bool { return i.Path == path }) {
			d.Images = append(d.Images, machine.Image{Path: path, Offset: l.fullOffset(path)})
		}
	}
	for _, c := range slices.Concat(w.InitContainers, w.Containers) {
		add(c.Rootfs)
		d.Layers = append(d.Layers, machine.Layer{Container: c.Name, Size: w.EphemeralStorage})
	}
	for _, v := range w.Volumes {
		add(v.Image)
	}
	return d
}

// fullOffset is where the complete file system of a leased image begins.
func (l *life) fullOffset(path string) int64 {
	for _, lease := range l.leases {
		if lease.Image.Rootfs == path {
			return lease.Image.FullOffset
		}
	}
	return 0
}
