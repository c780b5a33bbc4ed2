// Package crun is the runtime.Runtime inside a microVM: it runs containers with the
// OCI runtime crun, each on its image's EROFS disk with a writable layer above.
//
// The calling process is the VM's first, so a container's program, which crun leaves
// behind when it has started it, is that process's child. The package waits for
// programs that it started and for no others, and never restarts, probes or logs.
package crun
