package node

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"cis-kubelet/internal/podstatus"
	"cis/api"
)

// A kubelet's bounds of what a node tells of its images.
const (
	maxImages = 50
	maxNames  = 5
)

// imagesOf are the largest ones, by digest and by tag.
func imagesOf(all []api.Image) (out []corev1.ContainerImage) {
	all = slices.SortedFunc(slices.Values(all), func(a, b api.Image) int { return cmp.Compare(b.Size, a.Size) })
	for _, im := range all[:min(len(all), maxImages)] {
		var names []string
		for _, ref := range im.Refs {
			names = append(names, podstatus.ImageID(ref, im.Digest))
		}
		names = append(slices.Compact(names), im.Refs...)
		out = append(out, corev1.ContainerImage{Names: names[:min(len(names), maxNames)], SizeBytes: int64(im.Size)})
	}
	return out
}
