package cli

import (
	"strings"
	"testing"

	"cis/api"
)

func TestDisks(t *testing.T) {
	l := webAndJob(t)
	l.want(l.cis("", "disk", "create", "data", "--size", "10Gi", "-l", "app=shop"), 0, "data\n", "")
	l.want(l.cis("", "disk", "create", "data", "--size", "10Gi"), 1, "", "exists")
	l.want(l.cis("", "disk", "create", "x"), 1, "", "size: is required")
	l.want(l.cis("", "disk", "create", "x", "--size", "much"), 2, "", "cis: --size: ")
	l.want(l.cis("", "disk", "resize", "data", "20Gi"), 0, "data\n", "")
	l.want(l.cis("", "disk", "resize", "data", "1Gi"), 1, "", "only grows")
	l.want(l.cis("", "disk", "resize", "data", "x"), 2, "", "cis: SIZE: ")
	if r := l.cis("", "disk", "list"); !strings.HasPrefix(r.out, "NAME   ID          SIZE   ISOLATION   INSTANCE   AGE\ndata   disk-data   20Gi   gvisor      -          -") {
		t.Errorf("%s", r.out)
	}
	if r := l.cis("", "disk", "inspect", "data"); !strings.Contains(r.out, "Size:             20Gi") || !strings.Contains(r.out, "app=shop") {
		t.Errorf("%s", r.out)
	}
	l.want(l.cis("", "disk", "snapshot", "data", "--name", "before"), 0, "before\n", "")
	l.want(l.cis("", "disk", "snapshot", "none"), 1, "", `there is no disk "none"`)
	if r := l.cis("", "disk", "snapshot", "list"); !strings.HasPrefix(r.out, "NAME     ID              DISK   SIZE   ISOLATION   AGE\nbefore   snap-00000001   data   20Gi   gvisor      -") {
		t.Errorf("%s", r.out)
	}
	l.want(l.cis("", "disk", "create", "copy", "--from-snapshot", "before"), 0, "copy\n", "")
	if d := inspected[api.Disk](t, l, "disk", "copy"); d.Size != 20*api.GiB || d.Snapshot != "before" {
		t.Errorf("%+v", d)
	}
	l.want(l.cis("", "disk", "snapshot", "rm", "before"), 0, "before\n", "")
	l.want(l.cis("", "disk", "attach", "data", "web:/data"), 1, "", "instance web runs")
	l.want(l.cis("", "disk", "attach", "data", "job"), 2, "", `"job" is not INSTANCE:PATH[:ro]`)
	l.want(l.cis("", "disk", "attach", "data", "job:/data:ro"), 0, "job\n", "")
	if r := l.cis("", "describe", "job"); !strings.Contains(r.out, "/data from disk-0 (read-only)") || !strings.Contains(r.out, "disk data") {
		t.Errorf("%s", r.out)
	}
	l.want(l.cis("", "disk", "detach", "data", "job"), 0, "job\n", "")
	l.want(l.cis("", "disk", "detach", "data", "job"), 1, "", "has no disk data")
	l.want(l.cis("", "disk", "rm", "data", "copy"), 0, "data\ncopy\n", "")
}
