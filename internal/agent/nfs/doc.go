// Package nfs mounts directories of NFS servers with nothing but the kernel's client: it does
// what mount.nfs(8) does in user space, where there is no such program. The server is reached
// from the network namespace of this process, from a port that only root may use, as servers
// ask for, with version 4 of the protocol first.
//
// A mount is a hard one: a server that is away makes programs wait, and they go on when it is
// back. So that nothing waits for ever in the end, what waits can be made to fail (Abort).
//
// It loads no kernel modules and chooses no name servers.
package nfs
