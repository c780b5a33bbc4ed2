package qemu

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestHello(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hello")
	if err := os.WriteFile(path, hello(), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path).Output(); err != nil || string(out) != "hi\n" {
		t.Errorf("%v: %q", err, out)
	}
}
