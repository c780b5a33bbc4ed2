package client_test

import (
	"testing"

	"cis/api"
)

func TestDisks(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	d, err := w.CreateDisk(ctx, api.Disk{Name: "data", Size: api.GiB})
	if err != nil || d.Isolation != api.IsolationGVisor {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err = w.UpdateDisk(ctx, "data", api.DiskUpdate{Size: 2 * api.GiB}); err != nil || d.Size != 2*api.GiB {
		t.Errorf("%+v, %v", d, err)
	}
	if all, err := w.Disks(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if d, err = w.Disk(ctx, "data"); err != nil || d.Revision != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	s, err := w.CreateDiskSnapshot(ctx, api.DiskSnapshot{Disk: "data", Name: "before"})
	if err != nil || s.Size != 2*api.GiB {
		t.Errorf("%+v, %v", s, err)
	}
	if all, err := w.DiskSnapshots(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if s, err = w.DiskSnapshot(ctx, "before"); err != nil || s.Disk != "data" {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = w.AttachDisk(ctx, "data", api.DiskAttachment{Instance: "none", MountPath: "/data"})
	wantCode(t, err, api.NotFound)
	_, err = w.DetachDisk(ctx, "data", "none")
	wantCode(t, err, api.NotFound)
	for _, err := range []error{w.RemoveDiskSnapshot(ctx, "before"), w.RemoveDisk(ctx, "data")} {
		if err != nil {
			t.Error(err)
		}
	}
	wantCode(t, w.RemoveDisk(ctx, "data"), api.NotFound)
}
