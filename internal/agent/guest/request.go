package guest

import "time"

// Ports of a VM, by name: the agent's, and the one over which the host sends requests.
const (
	AgentPort   = "cis.agent"
	RequestPort = "cis.guest"
)

// Slots are the places of a VM's devices, numbered by QEMU's virtio-mmio buses. The
// first of those is of no use, since QEMU takes its interrupt for another's (7.2,
// hw/intc/ioapic.c: pin 0 becomes 2). The disks that are read-only have places of
// their own.
const (
	PortsSlot   = 1
	NetSlot     = 2
	BalloonSlot = 3

	FirstReadOnly = 4
	ReadOnlySlots = 9
	FirstWritable = FirstReadOnly + ReadOnlySlots
	WritableSlots = 11
	Slots         = FirstWritable + WritableSlots
)

// Request is what the host asks of a guest, in JSON over a connection of package
// serial. The guest does it before it reads the next, and says so with an Answer.
type Request struct {
	// Time now, by the host's clock.
	Time time.Time `json:"time"`
	// Identity comes with the first request.
	Identity *Identity `json:"identity,omitempty"`
	// Disks that can be used from now on.
	Disks []Disk `json:"disks,omitempty"`
	// Modules is the image, among the disks, with kernel modules that are to be loaded.
	Modules string `json:"modules,omitempty"`
	// Warm: run through the life of a container, with the image and the layer called
	// Rehearsal, and make the first one as far as it can be made ahead.
	Warm bool `json:"warm,omitempty"`
	// Free are disks that are used no more.
	Free []Disk `json:"free,omitempty"`
	// Layer is the container that gets the layer called Rehearsal.
	Layer string `json:"layer,omitempty"`
	// Log: the answer shall have what the kernel has logged.
	Log bool `json:"log,omitempty"`
}

// Rehearsal is the name of the image and the layer that a VM is warmed with.
const Rehearsal = "rehearsal"

// Identity is what makes a VM differ from others of its size.
type Identity struct {
	Hostname string `json:"hostname"`
	// Address of the network interface, without prefix length, and its MAC.
	Address string `json:"address"`
	MAC     string `json:"mac"`
	// Gateway is the next hop of every packet. MTU is that of the interface.
	Gateway string `json:"gateway"`
	// Address6 and Gateway6 are the same for IPv6; "" for none.
	Address6 string `json:"address6,omitempty"`
	Gateway6 string `json:"gateway6,omitempty"`
	MTU      int    `json:"mtu"`
	// Seed for the kernel's random numbers: of this VM alone.
	Seed []byte `json:"seed"`
}

// DiskUse says what a disk is for.
type DiskUse string

const (
	// ScratchDisk is the agent's own.
	ScratchDisk DiskUse = "scratch"
	// ImageDisk is an EROFS image, named by the host's path.
	ImageDisk DiskUse = "image"
	// LayerDisk is for the writable layers of a container, named by the container.
	LayerDisk DiskUse = "layer"
	// VolumeDisk is an empty volume, named by the volume.
	VolumeDisk DiskUse = "volume"
	// KeptDisk is a volume that outlives the VM, named by the volume.
	KeptDisk DiskUse = "kept"
)

// Disk is a disk and what it is for. All but images hold an ext4 file system.
type Disk struct {
	Slot int     `json:"slot"`
	Use  DiskUse `json:"use"`
	Name string  `json:"name,omitempty"`
}

// Answer to a request; without an error it is done.
type Answer struct {
	Error string `json:"error,omitempty"`
	// Log is the last of what the kernel has logged, LogSize bytes at most.
	Log string `json:"log,omitempty"`
}

// LogSize is how much of the kernel's log an answer may have, in bytes.
const LogSize = 64 << 10
