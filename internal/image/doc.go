// Package image keeps container images on this machine, each as one read-only
// EROFS file that gVisor mounts as a root and a VM gets as a disk.
//
// A Store resolves a reference at its registry, downloads the layers (in
// parallel, resuming what a broken connection or a restart left), verifies every
// digest, flattens the layers (package flatten) and keeps the result until it is
// removed or collected. Compressed layers are dropped once the image is made.
// What Ensure returns is a Lease: while one is held, the image stays.
//
// On disk, under the store's directory:
//
//	lock                        held while a Store is open
//	refs.json                   names and the digests they stand for
//	images/sha256-HEX/          an image exists when this directory does
//	    image.json              what Image says; its mtime is the last use
//	    rootfs.erofs
//	    passwd, group           copies of the image's own, for user names
//	blobs/sha256-HEX[.partial]  layers of pulls in progress, or broken off
//	tmp/                        work in progress, emptied by Open
//
// Every file is written aside, synced and renamed, so that a crash leaves either
// the whole or nothing.
//
// It never runs or mounts an image, unpacks none onto the host (see package
// flatten), pushes nothing, and knows nothing of instances, and of accounts only that names
// have owners (owner.go).
//
// Limits: sha256 digests; Docker schema 1 and foreign layers are refused; a
// registry's token server must be the registry's own address or have a host
// name, as a private address literal is refused by the registry library. Inside
// gVisor an image's own device nodes are missing (gVisor shows them without their
// numbers), and so are extended attributes (see Image.FullOffset). With
// IfNotPresent and Never, an owner gets what the owner has pulled before: credentials are
// checked by the registry, so only Always checks them each time.
package image
