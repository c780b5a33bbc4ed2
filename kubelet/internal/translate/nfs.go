package translate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

// nfsVolume is a directory of a server. That only a virtual machine can mount one is for cis
// to say, which knows what kind an instance without a runtime class is.
func nfsVolume(v *corev1.NFSVolumeSource) *api.NFSVolume {
	return &api.NFSVolume{Server: strings.ToLower(v.Server), Path: cleanMount(v.Path), ReadOnly: v.ReadOnly}
}

// asMounted are mount options that say what is so in any case.
var asMounted = []string{"rw", "hard", "tcp", "proto=tcp", "resvport", "sec=sys"}

// mountOptions takes over those of a volume that can be honoured, and fails with the first
// that cannot.
func mountOptions(v *api.NFSVolume, options []string) error {
	for _, list := range options {
		for option := range strings.SplitSeq(list, ",") {
			name, value, _ := strings.Cut(option, "=")
			switch {
			case option == "ro":
				v.ReadOnly = true
			case name == "nfsvers" || name == "vers":
				v.Version = value
			case !slices.Contains(asMounted, option):
				return fmt.Errorf("its mount option %q cannot be honoured: only nfsvers=, ro, %s can", option, strings.Join(asMounted, ", "))
			}
		}
	}
	return nil
}
