package api

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDiskMistakes(t *testing.T) {
	for _, test := range []struct {
		body        interface{ Validate() error }
		field, says string
	}{
		{&Disk{Size: MinDisk, Isolation: "vm"}, "name", "1 to 63"},
		{&Disk{Name: "disk-a", Size: MinDisk, Isolation: "vm"}, "name", "as IDs do"},
		{&Disk{Name: "a", Isolation: "vm"}, "size", "is required"},
		{&Disk{Name: "a", Size: MinDisk - MiB, Isolation: "vm"}, "size", "at least 16Mi"},
		{&Disk{Name: "a", Size: MinDisk + 1, Isolation: "vm"}, "size", "multiple"},
		{&Disk{Name: "a", Size: MinDisk, Isolation: "kvm"}, "isolation", "auto, vm, gvisor"},
		{&Disk{Name: "a", Size: MinDisk, Isolation: "vm", AttachedTo: "web"}, "attachedTo", "shown"},
		{&Disk{Name: "a", Isolation: "vm", Snapshot: "/"}, "snapshot", "name or ID"},
		{&DiskUpdate{Size: -MiB}, "size", "at least"},
		{&DiskSnapshot{}, "disk", "name or ID"},
		{&DiskSnapshot{Disk: "a", CreatedAt: time.Unix(1, 0)}, "createdAt", "shown"},
		{&DiskSnapshot{Disk: "a", Size: MiB}, "size", "shown"},
		{&DiskAttachment{MountPath: "/a"}, "instance", "name or ID"},
		{&DiskAttachment{Instance: "web", MountPath: "a"}, "mountPath", "absolute"},
		{&DiskAttachment{Instance: "web", MountPath: "/"}, "mountPath", "root"},
		{&DiskDetachment{}, "instance", "name or ID"},
	} {
		err, _ := test.body.Validate().(*Error)
		if err == nil || err.Field != test.field || !strings.Contains(err.Message, test.says) {
			t.Errorf("%+v: %v", test.body, err)
		}
	}
	d := Disk{Name: "a", Size: GiB}
	d.Default()
	if err := d.Validate(); err != nil || d.Isolation != IsolationAuto {
		t.Error(d, err)
	}
}

func TestAttachDisk(t *testing.T) {
	s := InstanceSpec{Containers: []Container{{Name: "one"}, {Name: "two"}}, Volumes: []Volume{{Name: "disk-0", EmptyDir: &EmptyDir{}}}}
	before := s
	if err := s.AttachDisk("data", DiskAttachment{Container: "two", MountPath: "/d", ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	if s.Volumes[1].Name != "disk-1" || !reflect.DeepEqual(s.Containers[1].VolumeMounts, []VolumeMount{{Name: "disk-1", MountPath: "/d", ReadOnly: true}}) ||
		len(before.Containers[1].VolumeMounts) != 0 {
		t.Errorf("%+v", s)
	}
	for field, a := range map[string]DiskAttachment{
		"container": {Container: "three", MountPath: "/e"}, "mountPath": {Container: "two", MountPath: "/d"},
	} {
		if err, _ := s.AttachDisk("other", a).(*Error); err == nil || err.Field != field {
			t.Errorf("%+v: %v", a, err)
		}
	}
	if err := s.AttachDisk("data", DiskAttachment{MountPath: "/e"}); CodeOf(err) != Invalid {
		t.Errorf("attached twice: %v", err)
	}
	if s.DetachDisk("other") || !s.DetachDisk("data") || !reflect.DeepEqual(s, before) {
		t.Errorf("%+v", s)
	}
}
