package gvisor

import (
	"strings"
	"testing"

	"cis/internal/machine"
)

// TestNoNFS: nothing is made of a sandbox that cannot have its volumes.
func TestNoNFS(t *testing.T) {
	err := new(Machine).start(t.Context(), machine.Sandbox{Volumes: []machine.Volume{{Name: "a", Memory: true}, {Name: "b", NFS: true}}})
	if err == nil || !strings.Contains(err.Error(), "volume b: gVisor has no NFS client") {
		t.Error(err)
	}
}
