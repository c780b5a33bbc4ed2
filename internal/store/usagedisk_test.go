package store

import (
	"testing"

	"cis/api"
	"cis/internal/meter"
)

// TestMeterDisk: each size counts for its time, however often that is said.
func TestMeterDisk(t *testing.T) {
	s, _ := open1(t)
	d := api.Disk{Account: "default", ID: "disk-1", Name: "data", Isolation: api.IsolationVM, Size: api.GiB, CreatedAt: at(10), Labels: map[string]string{"a": "b"}}
	grown, gone := d, d
	grown.Size, gone.Size = 2*api.GiB, 0
	for _, step := range []struct {
		disk   api.Disk
		second int
	}{{d, 12}, {d, 13}, {grown, 20}, {grown, 21}, {gone, 30}, {gone, 31}} {
		if err := s.MeterDisk(t.Context(), step.disk, at(step.second)); err != nil {
			t.Fatal(err)
		}
		// Sandboxes that are lost are none of a disk's business.
		if err := s.EndUsage(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	sizes := map[api.Bytes]meter.Interval{}
	for _, i := range metered(t, s) {
		sizes[i.Storage] = i
	}
	first, second := sizes[api.GiB], sizes[2*api.GiB]
	if len(sizes) != 2 || !first.Start.Equal(at(10)) || !first.End.Equal(at(20)) || !second.Start.Equal(at(20)) || !second.End.Equal(at(30)) {
		t.Errorf("%+v", sizes)
	}
	if !first.Disk || first.Instance != "disk-1" || first.Name != "data" || first.Labels["a"] != "b" || first.CPU != 0 || first.Isolation != api.IsolationVM {
		t.Errorf("%+v", first)
	}
}
