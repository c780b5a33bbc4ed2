package engine

import (
	"testing"

	"cis/api"
)

func TestHostUsage(t *testing.T) {
	before, err := hostUsage(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string][2]int64{
		"memory":    {int64(before.MemoryAvailable), int64(before.Memory)},
		"disk":      {int64(before.DiskAvailable), int64(before.Disk)},
		"processes": {before.Pids, before.PidsLimit},
	} {
		if part[0] <= 0 || part[0] > part[1] {
			t.Errorf("%s: %d of %d", name, part[0], part[1])
		}
	}
	if before.Memory < 64*api.MiB || before.InodesAvailable > before.Inodes || before.CPUSeconds <= 0 {
		t.Errorf("%+v", before)
	}
	if after, err := hostUsage(t.TempDir()); err != nil || after.CPUSeconds < before.CPUSeconds {
		t.Errorf("%v after %v, %v", after.CPUSeconds, before.CPUSeconds, err)
	}
	if _, err := hostUsage("/nowhere"); err == nil {
		t.Error("the disk of nothing was read")
	}
}
