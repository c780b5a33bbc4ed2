package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/account"
)

func (b *bench) createDisk(d api.Disk) api.Disk {
	b.t.Helper()
	d.Default()
	made, err := b.CreateDisk(b.t.Context(), d)
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// disked is a request with a disk at /data.
func disked(name, disk string, args ...string) api.CreateInstance {
	req := request(name, args...)
	req.Volumes = []api.Volume{{Name: "data", Disk: &api.DiskVolume{Name: disk}}}
	req.Containers[0].VolumeMounts = []api.VolumeMount{{Name: "data", MountPath: "/data"}}
	return req
}

func (b *bench) refused(err error, code api.Code, field, says string) {
	b.t.Helper()
	e, _ := errors.AsType[*api.Error](err)
	if e == nil || e.Code != code || e.Field != field || !strings.Contains(e.Message, says) {
		b.t.Errorf("error is %+v, not %s of %s with %q", err, code, field, says)
	}
}

func (b *bench) tryCreate(req api.CreateInstance) error {
	_, _, err := b.Create(b.t.Context(), req)
	return err
}

func (b *bench) diskFiles() (names []string) {
	entries, err := os.ReadDir(filepath.Join(b.dir, "disks"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// untilFree waits until no instance has a disk: that comes after its sandbox is gone.
func (b *bench) untilFree(disk string) {
	b.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		d, err := b.Disk(b.t.Context(), disk)
		if err == nil && d.AttachedTo == "" {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%+v, %v", d, err)
		}
	}
}

func TestADiskHasOneInstanceAtATime(t *testing.T) {
	b := newBench(t)
	d := b.createDisk(api.Disk{Name: "data", Size: api.MinDisk})
	if d.Isolation != api.IsolationGVisor || !strings.HasPrefix(d.ID, "disk-") || d.Revision != 1 {
		t.Errorf("%+v", d)
	}
	b.create(disked("a", "data", "sleep"))
	b.untilRunning("a")
	if d, err := b.Disk(t.Context(), d.ID); err != nil || d.AttachedTo != "a" {
		t.Errorf("%+v %v", d, err)
	}
	inUse := "in use by instance a"
	b.refused(b.tryCreate(disked("b", d.ID, "sleep")), api.Conflict, "volumes[0].disk", inUse)
	b.refused(b.RemoveDisk(t.Context(), "data"), api.Conflict, "", inUse)
	_, err := b.UpdateDisk(t.Context(), "data", api.DiskUpdate{Size: 2 * api.MinDisk})
	b.refused(err, api.Conflict, "", inUse)
	_, err = b.CreateDiskSnapshot(t.Context(), api.DiskSnapshot{Disk: "data"})
	b.refused(err, api.Conflict, "disk", inUse)
	b.reopen()
	b.refused(b.tryCreate(disked("b", "data", "sleep")), api.Conflict, "volumes[0].disk", inUse)
	if info := b.capacity.info(); info.MemoryUsed != b.demandOf(account.Default, api.InstanceSpec{Isolation: api.IsolationGVisor, CPU: 500, Memory: 256 * api.MiB}).memory+12*api.MiB {
		t.Errorf("what was refused holds capacity: %+v", info)
	}
	// Its end gives it back at once, also when its sandbox takes a moment to go.
	b.remove("a", true)
	b.create(disked("b", "data", "echo"))
	b.untilFinished("b")
	b.create(disked("c", "data", "echo"))
	b.untilFinished("c")
	b.untilFree("data")
	// An instance that ended has it again when it starts, if it is free.
	b.create(disked("d", "data", "sleep"))
	_, err = b.Start(t.Context(), "b")
	b.refused(err, api.Conflict, "volumes[0].disk", "in use by instance d")
	b.remove("d", true)
	if _, err := b.Start(t.Context(), "b"); err != nil {
		t.Error(err)
	}
}

func TestADiskIsForOneIsolation(t *testing.T) {
	b := newBench(t)
	b.createDisk(api.Disk{Name: "data", Size: api.MinDisk})
	req := disked("a", "data", "echo")
	req.Isolation = api.IsolationVM
	b.refused(b.tryCreate(req), api.Invalid, "volumes[0].disk", "isolation gvisor")
	b.refused(b.tryCreate(disked("a", "none", "echo")), api.Invalid, "volumes[0].disk", `no disk "none"`)
	req = disked("a", "data", "echo")
	req.Isolation = api.IsolationAuto
	if in := b.create(req); in.Spec.Isolation != api.IsolationGVisor {
		t.Errorf("isolation %s", in.Spec.Isolation)
	}
	_, err := b.CreateDisk(t.Context(), api.Disk{Name: "other", Size: api.MinDisk, Isolation: api.IsolationVM})
	b.refused(err, api.Invalid, "isolation", "does not work on this host")
}

func TestADiskGrows(t *testing.T) {
	b := newBench(t)
	d := b.createDisk(api.Disk{Name: "data", Size: api.MinDisk, Labels: map[string]string{"a": "b"}})
	_, err := b.UpdateDisk(t.Context(), "data", api.DiskUpdate{Size: 2 * api.MinDisk, Revision: 7})
	b.refused(err, api.Conflict, "", "revision 1, not 7")
	grown, err := b.UpdateDisk(t.Context(), d.ID, api.DiskUpdate{Size: 2 * api.MinDisk, Revision: 1})
	if err != nil || grown.Size != 2*api.MinDisk || grown.Revision != 2 || grown.Labels["a"] != "b" {
		t.Errorf("%+v %v", grown, err)
	}
	_, err = b.UpdateDisk(t.Context(), "data", api.DiskUpdate{Size: api.MinDisk})
	b.refused(err, api.Invalid, "size", "only grows")
	_, err = b.UpdateDisk(t.Context(), "data", api.DiskUpdate{Size: 1 << 60})
	b.refused(err, api.Exhausted, "", "no room")
	if size, _ := b.disks.sizes(account.Default); size != 2*api.MinDisk {
		t.Errorf("%d bytes are promised", size)
	}
	// A growth that was cut off before it was recorded is gone on with.
	if err := os.Truncate(b.config.Disks.Path(d.ID), int64(3*api.MinDisk)); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	if d, err := b.Disk(t.Context(), "data"); err != nil || d.Size != 3*api.MinDisk {
		t.Errorf("%+v %v", d, err)
	}
}

func TestSnapshotsOfDisks(t *testing.T) {
	b := newBench(t)
	d := b.createDisk(api.Disk{Name: "data", Size: api.MinDisk})
	s, err := b.CreateDiskSnapshot(t.Context(), api.DiskSnapshot{Disk: d.ID, Name: "before"})
	if err != nil || s.Disk != "data" || s.Size != api.MinDisk || s.Isolation != api.IsolationGVisor {
		t.Fatalf("%+v %v", s, err)
	}
	_, err = b.CreateDiskSnapshot(t.Context(), api.DiskSnapshot{Disk: "data", Name: "before"})
	b.refused(err, api.Conflict, "name", "exists")
	_, err = b.CreateDiskSnapshot(t.Context(), api.DiskSnapshot{Disk: "none"})
	b.refused(err, api.Invalid, "disk", "no disk")
	if err := b.RemoveDisk(t.Context(), "data"); err != nil {
		t.Fatal(err)
	}
	copied := b.createDisk(api.Disk{Name: "copy", Snapshot: s.ID})
	bigger := b.createDisk(api.Disk{Name: "bigger", Snapshot: "before", Size: 2 * api.MinDisk})
	if copied.Size != api.MinDisk || bigger.Size != 2*api.MinDisk || copied.Isolation != api.IsolationGVisor || copied.Snapshot != "before" {
		t.Errorf("%+v %+v", copied, bigger)
	}
	for field, d := range map[string]api.Disk{
		"snapshot":  {Name: "x", Snapshot: "none", Isolation: api.IsolationAuto},
		"isolation": {Name: "x", Snapshot: "before", Isolation: api.IsolationVM},
	} {
		_, err := b.CreateDisk(t.Context(), d)
		b.refused(err, api.Invalid, field, "snapshot")
	}
	if err := b.RemoveDiskSnapshot(t.Context(), "before"); err != nil {
		t.Error(err)
	}
	b.refused(b.RemoveDiskSnapshot(t.Context(), "before"), api.NotFound, "", "no snapshot")
	want := []string{bigger.ID, copied.ID}
	slices.Sort(want)
	if files := b.diskFiles(); !slices.Equal(files, want) {
		t.Errorf("files %v, not %v", files, want)
	}
}

func TestADiskIsAttachedToAnInstanceThatHasEnded(t *testing.T) {
	b := newBench(t)
	b.createDisk(api.Disk{Name: "data", Size: api.MinDisk})
	b.create(request("a", "sleep"))
	b.untilRunning("a")
	at := api.DiskAttachment{Instance: "a", MountPath: "/data"}
	_, err := b.AttachDisk(t.Context(), "data", at)
	b.refused(err, api.Conflict, "", "instance a runs")
	if _, err := b.Stop(t.Context(), "a", new(time.Second)); err != nil {
		t.Fatal(err)
	}
	in, err := b.AttachDisk(t.Context(), "data", at)
	if err != nil || in.Spec.Volumes[0].Disk.Name != "data" || in.Spec.Containers[0].VolumeMounts[0].MountPath != "/data" {
		t.Fatalf("%+v %v", in.Spec, err)
	}
	if _, err := b.Start(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	b.untilRunning("a")
	if d, _ := b.Disk(t.Context(), "data"); d.AttachedTo != "a" {
		t.Errorf("attached to %q", d.AttachedTo)
	}
	if _, err := b.Stop(t.Context(), "a", new(time.Second)); err != nil {
		t.Fatal(err)
	}
	if in, err := b.DetachDisk(t.Context(), "data", api.DiskDetachment{Instance: "a"}); err != nil || len(in.Spec.Volumes) != 0 {
		t.Errorf("%+v %v", in.Spec, err)
	}
	_, err = b.DetachDisk(t.Context(), "data", api.DiskDetachment{Instance: "a"})
	b.refused(err, api.Invalid, "instance", "no disk data")
}

func TestFilesOfDisksOnNoRecordGo(t *testing.T) {
	b := newBench(t)
	d := b.createDisk(api.Disk{Name: "data", Size: api.MinDisk})
	if err := os.WriteFile(b.config.Disks.Path("disk-00000000"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	if files := b.diskFiles(); !slices.Equal(files, []string{d.ID}) {
		t.Errorf("files %v", files)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.CreateDisk(ctx, api.Disk{Name: "cut", Size: api.MinDisk, Isolation: api.IsolationGVisor}); err == nil || len(b.diskFiles()) != 1 {
		t.Errorf("%v, and files %v", err, b.diskFiles())
	}
}

// TestDisksAtOnce: of many who want a disk at once, one gets it.
func TestDisksAtOnce(t *testing.T) {
	b := newBench(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	made, attached := 0, 0
	for range 4 {
		all.Go(func() {
			_, err := b.CreateDisk(t.Context(), api.Disk{Name: "data", Size: api.MinDisk, Isolation: api.IsolationGVisor})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			}
		})
	}
	all.Wait()
	for range 8 {
		all.Go(func() {
			req := disked("", "data", "sleep")
			err := b.tryCreate(req)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				attached++
			} else if api.CodeOf(err) != api.Conflict {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made != 1 || attached != 1 || len(b.diskFiles()) != 1 {
		t.Errorf("%d made, %d attached, files %v", made, attached, b.diskFiles())
	}
}

// TestDisksAreMetered: from their creation to their removal, over sizes and restarts.
func TestDisksAreMetered(t *testing.T) {
	b := newBench(t)
	d := b.createDisk(api.Disk{Name: "data", Size: api.MinDisk})
	b.reopen()
	if _, err := b.UpdateDisk(t.Context(), "data", api.DiskUpdate{Size: 2 * api.MinDisk}); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	if err := b.RemoveDisk(t.Context(), "data"); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	all := b.intervals()
	if len(all) != 2 || !all[0].Start.Equal(d.CreatedAt) || !all[0].End.Equal(all[1].Start) || all[1].End.IsZero() ||
		all[0].Storage != api.MinDisk || all[1].Storage != 2*api.MinDisk {
		t.Errorf("%+v", all)
	}
	opts := api.UsageOptions{Instance: d.ID}
	opts.Default(time.Now())
	if u, err := b.Usage(t.Context(), opts); err != nil || len(u.Items) != 1 || u.Items[0].Name != "data" || u.Total.Seconds != "0" {
		t.Errorf("%+v %v", u, err)
	}
}
