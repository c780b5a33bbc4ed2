package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cis/api"
)

// TestNFSNeedsVM: nothing is made of an instance that would be no virtual machine.
func TestNFSNeedsVM(t *testing.T) {
	b := newBench(t)
	for _, isolation := range []api.Isolation{api.IsolationAuto, api.IsolationGVisor} {
		req := request("web")
		req.Isolation = isolation
		req.Volumes = []api.Volume{{Name: "a", EmptyDir: &api.EmptyDir{}}, {Name: "b", NFS: &api.NFSVolume{Server: "nas", Path: "/"}}}
		err := b.tryCreate(req)
		b.refused(err, api.Invalid, "volumes[1].nfs", "only a virtual machine")
		if e, _ := errors.AsType[*api.Error](err); e == nil || !strings.Contains(e.Next, "--isolation vm") {
			t.Error(err)
		}
	}
	if err := checkNFS(api.IsolationVM, api.InstanceSpec{Volumes: []api.Volume{{NFS: &api.NFSVolume{}}}}); err != nil {
		t.Error(err)
	}
}

func TestMountFailure(t *testing.T) {
	volume := api.FieldError("volumes[0].nfs", "no answer")
	for err, want := range map[error]bool{volume: true, fmt.Errorf("prepare: %w", volume): true, errors.New("volumes[0]"): false, api.Errorf(api.Internal, "x"): false} {
		if isMountFailure(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
