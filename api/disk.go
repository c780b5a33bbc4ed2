package api

import (
	"fmt"
	"time"
)

// MinDisk is the smallest size of a disk; sizes are multiples of 1 MiB.
const MinDisk = 16 * MiB

// Disk is a volume that outlives instances. One instance at a time has it, from its
// create, or start, to its end.
type Disk struct {
	// ID is "disk-" and 8 hexadecimal digits. Shown, not set.
	ID string `json:"id,omitempty"`
	// Account that owns it. Shown, not set.
	Account string `json:"account,omitempty"`
	// Name is unique among the account's disks: a DNS label.
	Name string `json:"name"`
	// Labels are the user's own.
	Labels map[string]string `json:"labels,omitempty"`
	// Size in bytes, from 16 MiB, a multiple of 1 MiB. It may grow. A part of it is the file
	// system's own. Default with Snapshot: the snapshot's.
	Size Bytes `json:"size,omitempty"`
	// Isolation of the instances that can have it: vm or gvisor. It never changes. Default:
	// what auto is on this host, or with Snapshot that of its disk.
	Isolation Isolation `json:"isolation,omitempty"`
	// Snapshot is what it is a copy of, by name or ID; empty: it begins empty.
	Snapshot string `json:"snapshot,omitempty"`
	// AttachedTo is the name of the instance that has it now. Shown, not set.
	AttachedTo string    `json:"attachedTo,omitempty"`
	CreatedAt  time.Time `json:"createdAt,omitzero"`
	// Revision grows with every change. Shown, not set.
	Revision int64 `json:"revision,omitempty"`
}

// DiskUpdate changes a disk; what it leaves out stays.
type DiskUpdate struct {
	Labels map[string]string `json:"labels,omitzero"`
	// Size that it shall grow to, while no instance has it.
	Size Bytes `json:"size,omitempty"`
	// Revision, when set, is the one that the change was made for: any other is a conflict.
	Revision int64 `json:"revision,omitempty"`
}

// DiskSnapshot is a copy of a disk as it was at a time.
type DiskSnapshot struct {
	// ID is "snap-" and 8 hexadecimal digits. Shown, not set.
	ID string `json:"id,omitempty"`
	// Account that owns it. Shown, not set.
	Account string `json:"account,omitempty"`
	// Name is unique among the account's snapshots: a DNS label. Default: the ID.
	Name string `json:"name,omitempty"`
	// Labels are the user's own.
	Labels map[string]string `json:"labels,omitempty"`
	// Disk by name or ID; kept as its name, also when it is removed.
	Disk string `json:"disk"`
	// Size and Isolation of the disk then. Shown, not set.
	Size      Bytes     `json:"size,omitempty"`
	Isolation Isolation `json:"isolation,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
}

// DiskAttachment says where an instance that has ended shall have a disk when it starts
// again.
type DiskAttachment struct {
	// Instance by name, ID or the beginning of its ID.
	Instance string `json:"instance"`
	// Container that gets it. Default: the first.
	Container string `json:"container,omitempty"`
	// MountPath is absolute and not the root.
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

// DiskDetachment says which instance shall not have a disk any more when it starts again.
type DiskDetachment struct {
	// Instance by name, ID or the beginning of its ID.
	Instance string `json:"instance"`
}

// Default fills in what the disk leaves out.
func (d *Disk) Default() { setDefault(&d.Isolation, IsolationAuto) }

// Validate checks a disk that is to be made.
func (d *Disk) Validate() error {
	var c checker
	c.resource("disk-", d.ID, d.Account, d.Name, d.Labels, d.CreatedAt, d.Revision)
	c.check(d.Name != "", "name", dnsLabelRule)
	c.check(d.Size != 0 || d.Snapshot != "", "size", "is required, unless the disk is a copy of a snapshot")
	c.diskSize(d.Size)
	oneOf(&c, d.Isolation, "isolation", IsolationAuto, IsolationVM, IsolationGVisor)
	c.check(d.Snapshot == "" || isDNSLabel(d.Snapshot), "snapshot", "must be the name or ID of a snapshot")
	c.check(d.AttachedTo == "", "attachedTo", "is shown, not set: name the disk in the instance's volumes")
	return Join(c.mistakes)
}

func (c *checker) diskSize(size Bytes) {
	c.check(size == 0 || size >= MinDisk && size%MiB == 0, "size", "must be at least %s and a multiple of 1Mi, not %s", MinDisk, size)
}

// Validate checks a change.
func (u *DiskUpdate) Validate() error {
	var c checker
	c.labels(u.Labels)
	c.diskSize(u.Size)
	return Join(c.mistakes)
}

// Validate checks a snapshot that is to be made.
func (s *DiskSnapshot) Validate() error {
	var c checker
	c.resource("snap-", s.ID, s.Account, s.Name, s.Labels, s.CreatedAt, 0)
	c.check(isDNSLabel(s.Disk), "disk", "must be the name or ID of a disk")
	c.check(s.Size == 0, "size", "is shown, not set: it is the disk's")
	c.check(s.Isolation == "", "isolation", "is shown, not set: it is the disk's")
	return Join(c.mistakes)
}

// Validate checks an attachment.
func (a *DiskAttachment) Validate() error {
	var c checker
	c.check(isDNSLabel(a.Instance), "instance", "must be the name or ID of an instance")
	c.check(a.Container == "" || isDNSLabel(a.Container), "container", dnsLabelRule)
	c.check(isCleanPath(a.MountPath) && a.MountPath != "/", "mountPath", cleanPathRule+", and not the root")
	return Join(c.mistakes)
}

// Validate checks a detachment.
func (d *DiskDetachment) Validate() error {
	if !isDNSLabel(d.Instance) {
		return FieldError("instance", "must be the name or ID of an instance")
	}
	return nil
}

// disk checks a volume that is a disk; seen has those of the spec so far.
func (c *checker) disk(d *DiskVolume, seen map[string]bool, field string) {
	c.check(isDNSLabel(d.Name), field+".name", "must be the name or ID of a disk")
	c.unique(seen, d.Name, field+".name")
}

// AttachDisk adds a disk to a spec, as the attachment says. It fails with Invalid.
func (s *InstanceSpec) AttachDisk(disk string, a DiskAttachment) error {
	at := -1
	for i := range s.Containers {
		if s.Containers[i].Name == a.Container || a.Container == "" && i == 0 {
			at = i
		}
	}
	if at < 0 {
		return FieldError("container", "the instance has no container %q", clip(a.Container))
	}
	names := map[string]bool{}
	for _, v := range s.Volumes {
		names[v.Name] = true
		if v.Disk != nil && v.Disk.Name == disk {
			return FieldError("instance", "it has the disk already, as volume %s", v.Name)
		}
	}
	for _, m := range s.Containers[at].VolumeMounts {
		if m.MountPath == a.MountPath {
			return FieldError("mountPath", "container %s has volume %s there", s.Containers[at].Name, m.Name)
		}
	}
	v := Volume{Disk: &DiskVolume{Name: disk}}
	for n := 0; v.Name == "" || names[v.Name]; n++ {
		v.Name = fmt.Sprintf("disk-%d", n)
	}
	// The lists may be shared.
	s.Volumes = append(s.Volumes[:len(s.Volumes):len(s.Volumes)], v)
	s.Containers = append([]Container(nil), s.Containers...)
	c := &s.Containers[at]
	c.VolumeMounts = append(c.VolumeMounts[:len(c.VolumeMounts):len(c.VolumeMounts)], VolumeMount{Name: v.Name, MountPath: a.MountPath, ReadOnly: a.ReadOnly})
	return nil
}

// DetachDisk takes a disk out of a spec, with its mounts; false if it has none of that name.
func (s *InstanceSpec) DetachDisk(disk string) bool {
	volume := ""
	var left []Volume
	for _, v := range s.Volumes {
		if v.Disk != nil && v.Disk.Name == disk {
			volume = v.Name
			continue
		}
		left = append(left, v)
	}
	if volume == "" {
		return false
	}
	s.Volumes = left
	s.Containers, s.InitContainers = withoutMounts(s.Containers, volume), withoutMounts(s.InitContainers, volume)
	return true
}

// withoutMounts copies containers without the mounts of a volume.
func withoutMounts(containers []Container, volume string) (next []Container) {
	for _, c := range containers {
		var mounts []VolumeMount
		for _, m := range c.VolumeMounts {
			if m.Name != volume {
				mounts = append(mounts, m)
			}
		}
		c.VolumeMounts = mounts
		next = append(next, c)
	}
	return next
}
