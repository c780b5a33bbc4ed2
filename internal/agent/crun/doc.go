// Package crun is the runtime.Runtime inside a microVM: it runs in cis-agent, which
// is process 1 there, and starts containers with the OCI runtime crun.
//
// A container is an EROFS image, mounted read-only, under an overlay whose writable
// layer lives as long as the attempt. Its program has its
// own PID, mount and cgroup namespaces; network, host name, IPC and the terminals in
// /dev/pts are the instance's, which here are the VM's own. Every program is begun by
// cis-pause, executed from a descriptor, which gives it its terminal and tells
// exactly why it could not be executed; crun itself ends as soon as a program runs,
// and the program becomes this process's child.
//
// It never decides when a container starts, restarts or ends, sets no limit but that
// of processes, and leaves the network alone.
package crun
