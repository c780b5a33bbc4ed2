// Package machine is the seam between the engine and what isolates instances: a
// Machine makes sandboxes of one kind, each with an agent that answers on one
// byte stream. The drivers are in the packages below it, and one conformance
// suite (machinetest) holds for all of them.
//
// A machine knows nothing of images' names, records or HTTP, and never decides
// when a sandbox starts or ends.
package machine

import (
	"context"
	"net"

	"cis/api"
)

// Machine makes and ends sandboxes of one kind. All methods may be called at
// once from many goroutines; calls for one sandbox's ID must not overlap.
type Machine interface {
	// Isolation is the kind of sandbox this machine makes.
	Isolation() api.Isolation
	// Overhead is the most that a sandbox for an instance of a size takes of the host's
	// memory beside that of the instance.
	Overhead(memory api.Bytes) api.Bytes
	// Most is the most that Resize can give to a sandbox which was made with a size; zero: as
	// much as the host has.
	Most(cpu api.CPU, memory api.Bytes) (api.CPU, api.Bytes)
	// Check tells whether the machine works on this host; the string says what was
	// found, either way, in words for people. It is bounded to a few seconds.
	Check(ctx context.Context) (detail string, err error)
	// Start makes a sandbox and returns when its agent answers. On an error nothing
	// is left behind. Sandbox and agent outlive the calling process.
	Start(ctx context.Context, s Sandbox) error
	// Equip gives a sandbox what its containers will be made of; the agent can start
	// none before. It may be given more later; what it has already is passed over.
	Equip(ctx context.Context, id string, d Disks) error
	// Resize changes the limits of a sandbox that has a workload, whose agent is to be given
	// the new memory too: after this where it is more, else before. It fails with Exhausted
	// while more memory is in use, and may be called again whatever it has done.
	Resize(ctx context.Context, id string, cpu api.CPU, memory api.Bytes) error
	// Connect opens a new stream to the agent of a sandbox. It fails with NotFound
	// (api.Error) when the sandbox or its agent is gone; the error then says what is
	// known of how it ended.
	Connect(ctx context.Context, id string) (net.Conn, error)
	// Stats reads what the sandbox uses on the host now.
	Stats(ctx context.Context, id string) (Usage, error)
	// Pause makes a sandbox that has no workload yet stand still, and returns when it
	// does: it uses no cpu and keeps its memory. An agent beside it goes on, but
	// what it asks of the sandbox waits for Resume; one inside stands still too. After an
	// error other than NotFound the sandbox goes on. A paused one outlives the calling
	// process and may be destroyed.
	Pause(ctx context.Context, id string) error
	// Resume lets a paused sandbox go on at once. Resuming one that goes on is no
	// error; it fails with NotFound when the sandbox is gone.
	Resume(ctx context.Context, id string) error
	// Destroy ends a sandbox with its agent at once and frees all that Start made,
	// but for Sandbox.Dir's parent. Destroying what does not exist is no error.
	Destroy(ctx context.Context, id string) error
	// List gives the IDs of the sandboxes of this machine of which anything is
	// left on the host, whole or in part.
	List(ctx context.Context) ([]string, error)
}

// VMs is a Machine whose sandboxes have a kernel of their own.
type VMs interface {
	Machine
	// Emulated tells whether the host has no means to run them at full speed.
	Emulated(ctx context.Context) (bool, error)
	// Console returns the last of what the kernel of a sandbox has printed. It fails with
	// NotFound when the sandbox is gone.
	Console(ctx context.Context, id string) (string, error)
}

// Sandbox is what Start is asked to make.
type Sandbox struct {
	// ID is unique on the host: "s-" and 12 hexadecimal digits.
	ID string
	// CPU limit, enforced from a second after Equip at the latest.
	CPU api.CPU
	// Memory limit of everything inside.
	Memory api.Bytes
	// Pids is the most processes and threads that may exist inside.
	Pids int64
	// Ahead: nobody waits for it yet, so Start may do now what would take time later.
	Ahead bool
	// Layer, with Ahead, is the size that the writable layer of its container is likely
	// to have, in bytes.
	Layer api.Bytes
	// Hostname inside; the agent may change it later with its workload.
	Hostname string
	// NIC is the sandbox's place on the network.
	NIC NIC
	// Volumes that containers will share. A sandbox started without them cannot
	// get them later.
	Volumes []Volume
}

// Disks are what the containers of a sandbox are made of.
type Disks struct {
	// Images of containers and volumes.
	Images []Image
	// Layers are the containers that will have writable layers.
	Layers []Layer
}

// Image is a read-only EROFS file of the host.
type Image struct {
	Path string
	// Offset of the file system in it, in bytes.
	Offset int64
}

// Layer is the place for the writable layers of a container, one at a time.
type Layer struct {
	Container string
	// Size in bytes that it may grow to.
	Size api.Bytes
}

// NIC is a network interface made by package network.
type NIC struct {
	// NetNS is the path of the namespace that holds the interface.
	NetNS string
	// RouterNS is the path of the VPC's namespace, from where the address answers.
	RouterNS string
	// Address without prefix length.
	Address string
	// Name of the interface in NetNS, or of the tap there.
	Name string
	// MAC that the interface has, and Gateway, the next hop of everything it sends.
	MAC, Gateway string
	// Address6 and Gateway6 are the same for IPv6; "" for none.
	Address6, Gateway6 string
	// MTU in bytes.
	MTU int
}

// Volume is a directory shared by the sandbox's containers. It starts empty unless it is
// a disk's.
type Volume struct {
	Name string
	// Disk is the path of the file with an ext4 file system that is the volume, and stays
	// when the sandbox goes. Only sandboxes of one kind ever get the same file.
	Disk string
	// Memory: kept in memory, else on disk.
	Memory bool
	// NFS: the agent of a VM will mount it from a server, as it is told with the workload.
	NFS bool
	// SizeLimit in bytes; always set but for a disk and NFS.
	SizeLimit api.Bytes
	// Group that owns what is in it; nil: whoever made it. The agent of a VM is told
	// with the workload.
	Group *uint32
	// Regroup: all of a disk is given to Group, even if its root is the group's already.
	Regroup bool
}

// Usage is what a sandbox uses on the host.
type Usage struct {
	// CPUSeconds since its start.
	CPUSeconds float64
	// Memory charged to the sandbox in bytes, without reclaimable page cache.
	Memory api.Bytes
}
