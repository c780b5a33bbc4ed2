// Package linux is the runtime.Runtime inside a microVM: it runs in cis-agent, which
// is process 1 there, and starts containers with what Linux has for them.
//
// A container is an EROFS image, mounted read-only, under an overlay whose writable
// layer lives as long as the attempt. Its program has its own PID, mount and cgroup
// namespaces; network, host name, IPC and the terminals in /dev/pts are the
// instance's, which here are the VM's own. Every program begins as a helper (package
// inside, in the program cis-pause), a child of this process, which sets the
// namespaces up, gives up its privileges and becomes the program.
//
// Most of a container needs no image. In a VM that is saved for copies, and in one
// that waits for its instance, the first one is made up to there, so that a start
// has little left to do.
//
// It never decides when a container starts, restarts or ends, sets no limit but those
// of processes and memory, and leaves the network alone.
package linux
