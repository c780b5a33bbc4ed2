package machinetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/agent/agentpb"
	"cis/internal/machine"
)

// disk: what is written to a disk is there for the next sandbox, however the last one
// ended, and never more than fits.
func (s *suite) disk(t *testing.T) {
	file := newDisk(t)
	one := s.withDisk(t, file, "stat -c %a /data; ls -A /data; echo kept >/data/a; chmod 750 /data; cat /data/a",
		"until test -s /data/a; do sleep 0.05; done; dd if=/dev/zero of=/data/big bs=1M count=64; touch /read/x")
	one.run(t)
	if out, wrong := one.output(t, "main"); out != "777\nkept\n" || wrong != "" {
		t.Errorf("a new disk: %q %q", out, wrong)
	}
	if _, wrong := one.output(t, "side"); !strings.Contains(wrong, "No space left") || !strings.Contains(wrong, "Read-only") {
		t.Errorf("bounds: %q", wrong)
	}
	if err := one.m.Destroy(t.Context(), one.id); err != nil {
		t.Fatal(err)
	}
	// A VM makes its file system as big as the disk.
	if err := os.Truncate(file, int64(96*api.MiB)); err != nil {
		t.Fatal(err)
	}
	two := s.withDisk(t, file, "exec sleep 1000", "exec sleep 1000")
	two.begin(t)
	two.until(t, running)
	grown := map[bool]string{true: "grown\n"}[s.AgentInside]
	out, _ := two.exec(t, "main", "stat -c %a /data; cat /data/a; if test $(df -m /data | awk 'NR==2 {print $2}') -gt 60; then echo grown; fi")
	if out != "750\nkept\n"+grown {
		t.Errorf("the next sandbox: %q", out)
	}
	if out, _ := two.exec(t, "side", "cat /read/a; rm /data/big"); out != "kept\n" {
		t.Errorf("another mount: %q", out)
	}
	if out, _ := two.exec(t, "main", "ls /data; echo later >/data/b; sync"); out != "a\n" {
		t.Errorf("after a change in another container: %q", out)
	}
	if err := two.m.Destroy(t.Context(), two.id); err != nil { // in the midst of it
		t.Fatal(err)
	}
	three := s.withDisk(t, file, "cat /data/a /data/b", "true")
	three.run(t)
	if out, wrong := three.output(t, "main"); out != "kept\nlater\n" || wrong != "" {
		t.Errorf("after the loss of a sandbox: %q %q", out, wrong)
	}
}

// withDisk starts a sandbox with a disk in two containers, which run scripts.
func (s *suite) withDisk(t *testing.T, file, main, side string) *box {
	spec := s.sandbox(t)
	spec.Volumes = []machine.Volume{{Name: "data", Disk: file}}
	b := s.start(t, spec)
	b.load.Volumes = []agentpb.Volume{{Name: "data", Disk: file}}
	data, read := agentpb.Mount{Volume: "data", Path: "/data"}, agentpb.Mount{Volume: "data", Path: "/read", ReadOnly: true}
	s.shell(b, "main", main, data)
	s.shell(b, "side", side, data, read)
	return b
}

// newDisk makes the file of a disk of 32 MiB.
func newDisk(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(32*api.MiB)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", file).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v: %s", err, out)
	}
	return file
}
