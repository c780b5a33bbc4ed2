// Package runsc is the runtime.Runtime of a gVisor sandbox: it runs in cis-agent,
// on the host beside the sandbox that it started.
//
// The sandbox is one runsc process, without a gofer unless it has disks. Its root container is cis-pause
// from a read-only EROFS image; the instance's containers are started inside it by
// calls on the sandbox's own control socket, without any further process on the
// host. That inner protocol (urpc: JSON with file descriptors over a unix socket) and
// the meaning of its arguments are those of gVisor
// v0.0.0-20260905035102-160fafc42237 (pkg/urpc, runsc/boot/controller.go,
// runsc/boot/vfs.go), to which cis pins its runsc; another version may differ.
//
// Images and inline files are EROFS files, and writable layers are tmpfs inside of
// gVisor whose pages live in unlinked files of the sandbox's directory, all handed over
// as open files. All that is of the host's file systems in a sandbox are the disks that
// outlive it: each is mounted beside the sandbox, and a gofer of runsc for each use of it
// does what the sandbox may do there.
//
// A container that has parts of volumes begins with cis-pause, which puts them in place and
// becomes its program (package launch).
//
// It never decides when a container starts, restarts or ends, and makes neither
// cgroups nor network interfaces: package machine/gvisor has them ready.
//
// Limits: there is no /dev/mqueue; extended attributes are not copied.
package runsc
