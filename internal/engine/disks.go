package engine

import (
	"slices"

	"cis/internal/agent/agentpb"
	"cis/internal/machine"
)

// images are those of a workload, each once, for sandboxes that must have them
// beforehand.
func (l *life) images(w *agentpb.Workload) (images []machine.Image) {
	add := func(path string) {
		if path != "" && !slices.ContainsFunc(images, func(i machine.Image) bool { return i.Path == path }) {
			images = append(images, machine.Image{Path: path, Offset: l.fullOffset(path)})
		}
	}
	for _, c := range slices.Concat(w.InitContainers, w.Containers) {
		add(c.Rootfs)
	}
	for _, v := range w.Volumes {
		add(v.Image)
	}
	return images
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
